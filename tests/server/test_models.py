"""The model registry over HTTP."""

from tests.support.service import ADMIN, Client


async def test_models_are_listed_with_the_figures_that_compare_them(service: Client) -> None:
    """What only the report tells is left out: it would be most of the answer."""
    told = await (await service.get("/v1/models", headers=ADMIN)).json()
    (model,) = told["models"]
    assert model["version"] == told["production"] == told["serving"]
    assert model["metrics"] == {"model": {"ndcg@10": 0.25}, "popularity": {"ndcg@10": 0.125}}
