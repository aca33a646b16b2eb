"""What one request, or one visitor, may cost the site and everybody else."""

import pytest
from sites import Site
from test_collection import give


def test_bytes_of_a_contribution_that_could_not_be_written_are_deleted(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("ladnn.service.contributions.near", fail)
    assert give(site).status_code == 500
    assert site.services.blobs.names() == []
