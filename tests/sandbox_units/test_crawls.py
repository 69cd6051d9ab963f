"""Crawlers that are running, without a sandbox."""

import json

import pytest

from sandbox.gateway.calls import AwsError, Call
from sandbox.glue.crawls import Crawl, Crawls


@pytest.mark.parametrize("action", ["DeleteCrawler", "UpdateCrawler"])
def test_a_crawler_is_neither_deleted_nor_changed_while_it_is_running(action):
    crawls, crawl = Crawls(None, None), Crawl({"Name": "films"})
    crawls._crawls["films"] = [crawl]
    ask = crawls.routes().requests["glue", action]
    films, other = (
        Call("POST", "/", {}, json.dumps({"Name": name}).encode(), "glue", action, None, None)
        for name in ("films", "other")
    )

    with pytest.raises(AwsError) as refused:
        ask(films)
    assert refused.value.content["__type"] == "CrawlerRunningException"
    assert ask(other) is other

    crawl.state = "COMPLETED"
    assert ask(films) is films
