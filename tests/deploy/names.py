"""Checks that the files, labels, ports and settings exist that the files of docker/ name."""
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



def merge(base, patch):
    """A strategic merge: entries of lists are merged by their names."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{key: merge(base[key], value) if key in base else value for key, value in patch.items()}}
    if isinstance(base, list) and isinstance(patch, list):
        named = {entry["name"]: entry for entry in base}
        return list({**named, **{entry["name"]: merge(named[entry["name"]], entry) if entry["name"] in named else entry for entry in patch}}.values())
    return patch


# HTTPS and keys on Kubernetes: write the result of kustomize, which run.sh checks with the schemas.
[overlay] = load("kubernetes/tls/kustomization.yaml")
assert overlay["resources"] == [".."] and overlay["patches"][0] == {"path": "deployment.yaml"}
[service_patch] = yaml.safe_load(overlay["patches"][1]["patch"])
assert service_patch["path"] == "/spec/ports/0/port" and "port" in objects["Service", "cellserve"]["spec"]["ports"][0]
[patch] = load("kubernetes/tls/deployment.yaml")
secure = merge(deployment, patch)
[container] = secure["spec"]["template"]["spec"]["containers"]
variables = {variable["name"]: variable.get("value") for variable in container["env"]}
mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
assert "CELLSERVE_SESSIONS_STORE" in variables and {volume["name"] for volume in secure["spec"]["template"]["spec"]["volumes"]} == set(mounts)
for name, mount in (("CELLSERVE_TLS_CERTIFICATE", "tls"), ("CELLSERVE_TLS_KEY", "tls"), ("CELLSERVE_AUTH_KEYS", "keys")):
    assert os.path.dirname(variables[name]) == mounts[mount], name
for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    assert container[probe]["httpGet"]["scheme"] == "HTTPS" and "path" in container[probe]["httpGet"], probe
os.makedirs("build/deploy", exist_ok=True)
with open("build/deploy/deployment-tls.yaml", "w") as file:
    yaml.safe_dump(secure, file)

[stack], [compose], [stack_tls] = load("swarm.yaml"), load("compose.yaml"), load("swarm-tls.yaml")
for service, change in stack_tls["services"].items():
    assert service in stack["services"]
    assert {secret["source"] for secret in change["secrets"]} <= set(stack_tls["secrets"]), service
for name, path in stack_tls["services"]["cellserve"]["environment"].items():
    assert path.removeprefix("/run/secrets/") in {secret["source"] for secret in stack_tls["services"]["cellserve"]["secrets"]}, name
assert stack["services"]["cellserve"]["deploy"]["update_config"]["order"] == "start-first"
environment = [*stack["services"]["cellserve"]["environment"], *stack_tls["services"]["cellserve"]["environment"], *variables, *compose["services"]["cellserve"]["environment"],
               *(variable["name"] for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"])]
settings = re.findall(r'^    (?:INT|TEXT|PATH|LIST)\("([a-z_.]+)"', open("config/settings_table.c").read(), re.M)
known = {"CELLSERVE_" + key.replace(".", "_").upper() for key in settings}
assert set(environment) <= known, set(environment) - known
grace = int(stack["services"]["cellserve"]["stop_grace_period"].rstrip("s"))
delay = int(stack["services"]["cellserve"]["environment"]["CELLSERVE_LIMITS_DRAIN_DELAY_MS"])
assert grace * 1000 > delay + 20000 and deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == grace
