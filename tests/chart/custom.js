// Validates objects of KEDA and of the Prometheus operator. Reads a JSON list of objects from standard input and writes
// one line per mistake to standard output.
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const groups = { "keda.sh/v1alpha1": keda, "monitoring.coreos.com/v1": prometheus };

let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const object of JSON.parse(input)) {
  const name = `${object.kind} ${object.metadata.name}`;
  const Model = groups[object.apiVersion]?.[object.kind];
  if (!Model) {
    console.log(`${name}: no schema for ${object.kind} in ${object.apiVersion}`);
    continue;
  }
  try {
    new Model(object).validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}
