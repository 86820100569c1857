# The software that a site has, for `--sdm apptainer` and `--sdm env-modules`: the same for all rules above.
from snakemake.deployment.env_modules import EnvModules
from snakemake.settings.types import DeploymentMethod

from secateur.core import site

deployed = workflow.deployment_settings.deployment_method
try:
    if DeploymentMethod.APPTAINER in deployed:
        site.check_container(config["container"])
    if DeploymentMethod.ENV_MODULES in deployed:
        site.check_modules(config["modules"])
except SecateurError as error:
    raise WorkflowError(str(error))

# Snakemake has no directive for the modules of all rules, and counts those of a rule even where they are not used.
for each in workflow.rules:
    if DeploymentMethod.APPTAINER in deployed:
        each.container_img = config["container"]
    if DeploymentMethod.ENV_MODULES in deployed:
        each.env_modules = EnvModules(*config["modules"])
