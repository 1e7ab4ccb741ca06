"""Files name each other, labels, ports and settings; these must be there."""
import os, re, subprocess, yaml

ROOT = "docker"


def load(path):
    with open(f"{ROOT}/{path}") as file:
        return [document for document in yaml.safe_load_all(file) if document]


objects = {}
for folder in ("kubernetes", "kubernetes/kserve"):
    [kustomization] = load(f"{folder}/kustomization.yaml")
    listed = set(kustomization["resources"])
    present = {name for name in os.listdir(f"{ROOT}/{folder}") if name.endswith(".yaml")} - {"kustomization.yaml"}
    assert listed == present, (folder, listed ^ present)
    for name in listed:
        for document in load(f"{folder}/{name}"):
            objects[document["kind"], document["metadata"]["name"]] = document
    for secret in kustomization.get("secretGenerator", []):
        objects["Secret", secret["name"]] = {literal.split("=", 1)[0]: literal.split("=", 1)[1] for literal in secret["literals"]}

deployment, redis = objects["Deployment", "cellserve"], objects["StatefulSet", "redis"]
for workload in (deployment, redis):
    template = workload["spec"]["template"]
    assert workload["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    for container in template["spec"]["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        for variable in container["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            assert not reference or reference["key"] in objects["Secret", reference["name"]], variable
for name, workload in (("cellserve", deployment), ("redis", redis)):
    service = objects["Service", name]
    assert service["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
assert objects["HorizontalPodAutoscaler", "cellserve"]["spec"]["scaleTargetRef"]["name"] == "cellserve"
secret = objects["Secret", "cellserve-redis"]
assert secret["store"] == f"redis://:{secret['password']}@redis:6379/0"
assert objects["InferenceService", "sunspots"]["spec"]["predictor"]["model"]["runtime"] == objects["ServingRuntime", "cellserve"]["metadata"]["name"]
assert objects["ServingRuntime", "cellserve"]["spec"]["containers"][0]["name"] == "kserve-container"

[stack], [compose] = load("swarm.yaml"), load("compose.yaml")
assert stack["services"]["cellserve"]["deploy"]["update_config"]["order"] == "start-first"
environment = [*stack["services"]["cellserve"]["environment"], *compose["services"]["cellserve"]["environment"],
               *(variable["name"] for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"])]
settings = re.findall(r'^    (?:INT|TEXT)\("([a-z_.]+)"', open("config/settings_table.c").read(), re.M)
known = {"CELLSERVE_" + key.replace(".", "_").upper() for key in settings}
assert set(environment) <= known, set(environment) - known
grace = int(stack["services"]["cellserve"]["stop_grace_period"].rstrip("s"))
delay = int(stack["services"]["cellserve"]["environment"]["CELLSERVE_LIMITS_DRAIN_DELAY_MS"])
assert grace * 1000 > delay + 20000 and deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == grace
