"""The page of payouts offers what the key allows, and the next step of each."""

from tests.service.office import office


def test_a_payout_is_listed_with_its_next_step(tmp_path):
    with office(tmp_path) as found:
        assert "No payout yet." in found.get("/compensation/payouts").text
        made = found.client.post(
            "/v1/payouts", json={"policy": "royalties"}, headers={"Idempotency-Key": "k"}
        )
        assert made.status_code == 201, made.text
        text = found.get("/compensation/payouts").text
        assert f'/compensation/runs/{made.json()["id"]}"' in text
        assert f'<data value="{made.json()["total"] / 100:.2f}"' in text
        assert "data-confirm-payout" not in text, "it is not posted"
        run = found.get(f"/compensation/runs/{made.json()['id']}").text
        assert "Approve" in run
        assert "waits for you" in found.get("/compensation").text
        reader = found.key_for(scopes=["read"])
        assert "Prepare a payout" not in found.get("/compensation/payouts", reader).text
