package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

// newPoliciesCommand runs the engine of kube-network-policies. It decides about the first packet of each connection
// that netfilter puts into a queue. The program of that project runs only in a pod, because it accepts no kubeconfig.
//
// The engine knows a pod by the IP address in the pod's status, as most engines do, so a policy knows a new pod only a
// moment after its start. The engine could also learn the address from containerd by NRI, which is off in
// ../configuration.sh. NRIdisabled is not set, because the engine then crashes at the first unknown address.
func newPoliciesCommand() *cobra.Command {
	var kubeconfig string
	var config networkpolicy.Config
	command := &cobra.Command{Use: "policies", SilenceUsage: true, Args: cobra.NoArgs}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the file with the API server's address and credentials")
	command.Flags().StringVar(&config.NodeName, "hostname-override", "", "the name of the node")
	command.Flags().IntVar(&config.QueueID, "nfqueue-id", 100, "the number of netfilter's queue")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return enforce(command, kubeconfig, config)
	}
	return command
}

func enforce(command *cobra.Command, kubeconfig string, config networkpolicy.Config) error {
	ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	controller, err := networkpolicy.NewController(client, factory.Networking().V1().NetworkPolicies(),
		factory.Core().V1().Namespaces(), factory.Core().V1().Pods(), nil, nil, nil, nil, config)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	return controller.Run(ctx)
}
