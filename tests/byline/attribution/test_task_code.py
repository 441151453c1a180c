"""What a Task's parse and predict may return, and whose fault it is where they fail."""

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from byline.attribution.task_code import parse_query, predict_query
from byline.errors import InvalidQuery, InvalidTask, Overloaded
from byline.task import ParsedQuery, Prediction, QueryInterface


def predicting(output):
    return QueryInterface(
        payload=BaseModel, parse=lambda _: None, predict=lambda _m, item: Prediction(item=item, output=output)
    )


def raising(error):
    def parse(payload):
        raise error

    return QueryInterface(payload=BaseModel, parse=parse)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"probability": np.float32(0.5)}, "'probability'.*numpy.float32"),
        ({"label": torch.tensor(1)}, "'label'.*torch.Tensor"),
        ({"inner": {"deep": [np.int64(1)]}}, "'inner'.*numpy.int64"),
        ({"p": float("nan")}, "'p'.*finite"),
        ({"p": [float("inf")]}, "'p'.*finite"),
        ({1: "x"}, "expected text.*int"),
        ({"inner": {1: "x"}}, "'inner'.*int"),
        ({"text": "\ud800"}, "'text'.*Unicode"),
        ({"pair": (1, 2)}, "'pair'.*tuple"),
        ([1], "mapping.*list"),
    ],
)
def test_outputs_that_are_no_finite_json_are_the_tasks_error(output, message):
    with pytest.raises(InvalidTask, match=message):
        predict_query(predicting(output), torch.nn.Identity(), None)


def test_an_output_that_holds_itself_is_refused():
    output = {"a": []}
    output["a"].append(output["a"])
    with pytest.raises(InvalidTask, match="nested too deeply"):
        predict_query(predicting(output), torch.nn.Identity(), None)


def test_json_passes():
    output = {"label": "7", "p": 0.5, "n": 3, "ok": True, "none": None, "all": {"7": [0.5, np.float64(1)]}}
    assert predict_query(predicting(output), torch.nn.Identity(), None).output == output


def test_other_types_than_promised_are_the_tasks_error():
    with pytest.raises(InvalidTask, match="ParsedQuery, got a tuple"):
        parse_query(QueryInterface(payload=BaseModel, parse=lambda _: (1, 2)), None)
    with pytest.raises(InvalidTask, match="Prediction, got a dict"):
        predict_query(
            QueryInterface(payload=BaseModel, parse=lambda _: None, predict=lambda _m, _i: {}),
            torch.nn.Identity(),
            None,
        )
    with pytest.raises(InvalidQuery, match="predicts none"):
        predict_query(QueryInterface(payload=BaseModel, parse=lambda _: None), torch.nn.Identity(), None)
    parsed = ParsedQuery(item=1, complete=True)
    assert parse_query(QueryInterface(payload=BaseModel, parse=lambda _: parsed), None) is parsed


def test_exceptions_refuse_the_query_and_keep_their_cause():
    with pytest.raises(InvalidQuery, match="ValueError") as caught:
        parse_query(raising(ValueError("secret")), None)
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(Overloaded):
        parse_query(raising(MemoryError()), None)
    with pytest.raises(InvalidQuery, match="mine"):
        parse_query(raising(InvalidQuery("mine")), None)
