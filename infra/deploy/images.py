"""The images of a deployment: found in ECR before any change, and deployed by digest."""

from dataclasses import replace

from infra.common.errors import CheckError
from infra.deploy.account import Account
from infra.deploy.plan import Plan
from infra.deploy.registry import Image, find_image, registry_host


def with_images(aws: Account, plan: Plan) -> Plan:
    """The plan with every given image by digest, and with the architecture of the images.

    Raises:
        CheckError: there is no image, or the images do not fit together.
    """
    if plan.given.get("ImageUri") is None and plan.current is None:
        raise CheckError(
            "the first deployment needs an image: build it (`image`), push it to ECR in this account (`push`, to "
            f"{registry_host(aws.id, aws.region)}), and pass its URI as IMAGE_URI=…"
        )
    images = _find(aws, plan)
    given = {**plan.given, **{name: image.uri for name, image in images.items() if name in plan.given}}
    architectures = {name: image.architecture for name, image in images.items()}
    if not architectures:
        return plan
    wanted = plan.given.get("Architecture", architectures.get("ImageUri", plan.wanted["Architecture"]))
    for name, architecture in architectures.items():
        if architecture != wanted:
            raise CheckError(
                f"{name} is built for {architecture}, and the functions for {wanted}: build it for {wanted} "
                f"(ARCH={wanted}), or deploy all images for {architecture}"
            )
    if wanted != plan.wanted["Architecture"]:
        given["Architecture"] = wanted
    return replace(plan, given=given)


def _find(aws: Account, plan: Plan) -> dict[str, Image]:
    """The images that the deployment changes; all of them if it changes the architecture."""
    names = [name for name in ("ImageUri", "ApiImageUri") if plan.given.get(name)]
    images = {name: find_image(aws, plan.given[name]) for name in names}
    new = {image.architecture for image in images.values()} | {plan.wanted["Architecture"]}
    if len(new) > 1 or "Architecture" in plan.given:
        others = [name for name in ("ImageUri", "ApiImageUri") if name not in images and plan.wanted[name]]
        images |= {name: find_image(aws, plan.wanted[name]) for name in others}
    return images
