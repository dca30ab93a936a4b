"""The browser that other tests use: it shows a page, and tells what the page complained of."""

from tests.support.browser import Tab


def test_what_a_page_complains_of_is_told(page: Tab) -> None:
    page.page.set_content("<h1>Shown</h1><script>console.error('bad'); null.x</script>")
    assert page.page.inner_text("h1") == "Shown"
    assert page.problems[0] == "bad"
    assert "null" in page.problems[1]
    assert page.picture("shown").stat().st_size > 1000


def test_each_test_has_a_fresh_page(page: Tab) -> None:
    assert page.problems == []
    assert page.page.url == "about:blank"
