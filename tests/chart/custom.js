// Validates objects of KEDA and of the Prometheus operator: a JSON list of them on standard input, a line for each mistake on
// standard output.
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const groups = { "keda.sh/v1alpha1": keda, "monitoring.coreos.com/v1": prometheus };

let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const object of JSON.parse(input)) {
  const name = `${object.kind} ${object.metadata.name}`;
  const Model = groups[object.apiVersion]?.[object.kind];
  if (!Model) {
    console.log(`${name}: nobody knows ${object.apiVersion}`);
    continue;
  }
  try {
    new Model(object).validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}
