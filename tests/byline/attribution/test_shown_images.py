"""Answers name their training points' thumbnails: as data in Python, as paths of a service."""

from byline.api.thumbnails import data_uri
from byline.attribution.attributor import Attributor
from byline.attribution.shown_images import image_path, with_image_data, with_image_paths
from tests.service.fakes import fake_attributor

QUERY = {"text": "hello", "label": 1}


def opened() -> Attributor:
    attributor, _ = fake_attributor()
    return attributor


def test_python_has_the_images_themselves() -> None:
    attributor = opened()
    answer = attributor.attribute(QUERY, k=40, direction="both")
    points = [*(answer.proponents or ()), *(answer.opponents or ())]
    stored = attributor.index.examples.images([point.row for point in points])
    assert stored
    assert len(stored) < len(points)
    for point in points:
        assert point.image == (data_uri(stored[point.row]) if point.row in stored else None)
    assert f'<img src="{data_uri(next(iter(stored.values())))}"' in answer._repr_html_()


def test_a_service_has_paths_and_a_notebook_draws_none_of_them() -> None:
    attributor = opened()
    answer = with_image_paths(attributor.attribute(QUERY, k=40), attributor.index.examples)
    found = {point.row: point.image for point in answer.proponents or ()}
    assert {row for row, image in found.items() if image} == {row for row in found if row % 4 == 0}
    assert "<img" not in answer._repr_html_()


def test_points_of_groups_have_no_rows_of_the_index() -> None:
    attributor = opened()
    answer = attributor.attribute(QUERY, k=40).model_copy(update={"drilled_groups": 2})
    cleared = answer.model_copy(
        update={"proponents": tuple(p.model_copy(update={"image": None}) for p in answer.proponents or ())}
    )
    assert with_image_paths(cleared, attributor.index.examples) == cleared
    kept = with_image_data(cleared, attributor.index.examples).proponents or ()
    assert [bool(each.image) for each in kept] == [each.example.image is not None for each in kept]


def test_names_in_paths_are_quoted() -> None:
    assert image_path("a b", "docs/7?x#é") == "/v1/indexes/a%20b/images/docs%2F7%3Fx%23%C3%A9"
