"""Readers: what each kind of file gives, and why some give nothing."""

from io import BytesIO
from pathlib import PurePath
from zipfile import ZipFile

import pytest
from docx import Document
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.errors import DependencyError

from tests.support.documents import pdf
from workers.knowledge.readers import Block, Extract, Unusable, extract


def read(name: str, content: str | bytes) -> Extract:
    return extract(PurePath(name), content.encode() if isinstance(content, str) else content)


def text_of(block: Block) -> str:
    return "\n".join(block.lines)


def texts(found: Extract) -> list[str]:
    return [text_of(block) for block in found.blocks]


def places(found: Extract) -> list[tuple[tuple[str, ...], tuple[int, ...] | None]]:
    return [(block.headings, block.numbers) for block in found.blocks]


def refused(name: str, content: str | bytes) -> str:
    with pytest.raises(Unusable) as caught:
        read(name, content)
    return str(caught.value)


class TestMarkdown:
    def test_headings_nest_and_blocks_know_their_lines(self) -> None:
        found = read("a.md", "# Guide\n\nIntro.\n\n## Set up ##\nFirst.\nSecond.\n\n# Other\nLast.\n")
        assert found.title == "Guide"
        assert texts(found) == ["Intro.", "First.\nSecond.", "Last."]
        assert places(found) == [(("Guide",), (3,)), (("Guide", "Set up"), (6, 7)), (("Other",), (10,))]

    def test_an_underlined_line_is_a_heading(self) -> None:
        found = read("a.md", "Guide\n=====\n\nIntro.\n\nPart\n----\nText.")
        assert places(found) == [(("Guide",), (4,)), (("Guide", "Part"), (8,))]

    def test_dashes_below_a_list_or_two_lines_make_no_heading(self) -> None:
        found = read("a.md", "- item\n---\n\none\ntwo\n---\n")
        assert [block.headings for block in found.blocks] == [(), ()]

    def test_a_hash_inside_a_fence_is_code_and_blank_lines_do_not_end_it(self) -> None:
        found = read("a.md", "Text:\n```sh\n# not a heading\n\nls\n````\nafter")
        assert texts(found) == ["Text:", "```sh\n# not a heading\n\nls\n````", "after"]
        assert [block.code for block in found.blocks] == [False, True, False]

    def test_an_open_fence_goes_to_the_end(self) -> None:
        assert texts(read("a.md", "~~~\na\n```\nb")) == ["~~~\na\n```\nb"]

    def test_front_matter_gives_the_title_and_no_text(self) -> None:
        found = read("a.md", '---\nauthor: me\ntitle: "My guide"\n---\n# Start\ntext\n')
        assert (found.title, texts(found)) == ("My guide", ["text"])

    @pytest.mark.parametrize("top", ["---\n\nplain\n---\n", "---\nkey: value\nno end\n"])
    def test_dashes_at_the_top_need_not_be_front_matter(self, top: str) -> None:
        assert "text" in "\n".join(texts(read("a.md", top + "\ntext")))

    def test_heading_marks_are_taken_off(self) -> None:
        found = read("a.md", "# The **`run`** [command](x.md) {#run}\ntext")
        assert found.title == "The run command"

    def test_a_section_without_text_can_be_found_by_its_heading(self) -> None:
        found = read("a.md", "# Questions\n## Is it fast?\n## Is it safe?\nYes.\n## And then?\n")
        assert texts(found) == ["## Is it fast?", "Yes.", "## And then?"]

    def test_an_empty_heading_is_text_so_that_passages_stay_verbatim(self) -> None:
        assert places(read("a.md", "# \ntext")) == [((), (1, 2))]

    def test_a_rule_between_paragraphs_stays_with_them_but_is_no_text_of_its_own(self) -> None:
        assert texts(read("a.md", "***\n\n# T\n\n* * *\n\none\n\n* * *\n\ntwo")) == ["one", "* * *", "two"]

    def test_a_runaway_heading_is_cut(self) -> None:
        assert len(read("a.md", f"# {'word ' * 500}\ntext").title) <= 200


class TestPlainText:
    def test_paragraphs_and_title_from_the_file_name(self) -> None:
        found = read("notes.txt", "one\ntwo\n\n\nthree\n")
        assert (found.title, texts(found)) == ("notes.txt", ["one\ntwo", "three"])
        assert places(found) == [((), (1, 2)), ((), (5,))]

    def test_title_levels_go_by_first_appearance(self) -> None:
        found = read(
            "a.rst", "=====\nGuide\n=====\n\nIntro.\n\nPart\n====\n\nText.\n\nDeep\n----\nMore.\n\nNext\n====\nEnd."
        )
        assert [block.headings for block in found.blocks] == [
            ("Guide",),
            ("Guide", "Part"),
            ("Guide", "Part", "Deep"),
            ("Guide", "Next"),
        ]

    def test_an_underline_shorter_than_its_title_is_text(self) -> None:
        assert read("a.rst", "A long title\n----\n\ntext").title == "a.rst"

    def test_a_rule_over_a_line_is_no_title(self) -> None:
        assert read("a.txt", "-----\n\ntext\n-----").title == "text"

    @pytest.mark.parametrize("opening", ["Example::", ".. code-block:: python\n   :linenos:"])
    def test_an_indented_literal_is_code_with_its_blank_lines(self, opening: str) -> None:
        found = read("a.rst", f"{opening}\n\n   a = 1\n\n   b = 2\n\nafter")
        assert [(text_of(block), block.code) for block in found.blocks][1:] == [
            ("   a = 1\n\n   b = 2", True),
            ("after", False),
        ]

    def test_a_colon_pair_without_anything_indented_is_text(self) -> None:
        assert texts(read("a.rst", "Example::\n\nafter")) == ["Example::", "after"]


class TestHtml:
    def test_text_stands_at_its_lines_under_its_headings(self) -> None:
        found = read(
            "a.html",
            "<title>A &amp; B</title>\n<h1>Top</h1>\n<p>One <b>bo</b>ld\nline &eacute;&#33;</p>\n<h2>Sub</h2><p>Two",
        )
        assert (found.title, found.kind) == ("A & B", "html")
        assert texts(found) == ["One bold\nline é!", "Two"]
        assert places(found) == [(("Top",), (3, 4)), (("Top", "Sub"), (5,))]

    def test_scripts_styles_drawings_and_navigation_are_left_out(self) -> None:
        page = (
            "<nav><nav>in</nav>menu</nav><p>one</p><script>var x='<p>no</p>'</script>"
            "<style>p{}</style><svg><title>t</title></svg><p>two</p>"
        )
        found = read("a.html", page)
        assert texts(found) == ["one", "two"]
        assert found.blocks[0].section != found.blocks[1].section

    def test_an_unclosed_nav_does_not_swallow_the_page(self) -> None:
        found = read("a.html", "<nav><a>menu</a><h1>Top</h1><p>text</p>")
        assert (found.title, texts(found)) == ("Top", ["text"])

    def test_an_unclosed_title_ends_with_the_next_tag(self) -> None:
        assert texts(read("a.html", "<title>T<p>text</p>")) == ["text"]

    def test_preformatted_text_keeps_its_indentation(self) -> None:
        found = read("a.html", "<pre><code>def f():\n    return 1\n</code></pre>after")
        assert [(text_of(block), block.code) for block in found.blocks] == [
            ("def f():\n    return 1", True),
            ("after", False),
        ]

    def test_items_rows_and_cells_are_told_apart(self) -> None:
        found = read(
            "a.html", "<ul><li>a<li>b</ul><table><tr><td>1</td><td>2</td></tr><tr><th>3</th></tr></table>x<br/>y"
        )
        assert texts(found) == ["a\nb", "1 2\n3", "x\ny"]

    def test_a_heading_may_hold_blocks_or_nothing(self) -> None:
        found = read("a.html", "<h1><div>Top</div></h1><h2></h2><p>text</p>")
        assert places(found) == [(("Top",), (1,))]

    @pytest.mark.parametrize(
        "oddity", ["<![nonsense[x]]>", "<svg/>", "<!-- <p>no</p> -->", "</p></nav></h1>", "<title/>"]
    )
    def test_odd_markup_hides_no_text(self, oddity: str) -> None:
        assert "text" in texts(read("a.html", f"{oddity}<p>text</p>"))[-1]


def locked_pdf(password: str) -> bytes:
    writer = PdfWriter(clone_from=BytesIO(pdf([["Hello"]])))
    writer.encrypt(password, "owner", algorithm="RC4-40")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


class TestPdf:
    def test_lines_are_numbered_by_page_and_the_title_is_the_files(self) -> None:
        found = read("a.pdf", pdf([["Hello world", "again"], ["Second page"]], title="My paper"))
        assert (found.title, found.kind, found.paged) == ("My paper", "pdf", True)
        assert [(text_of(block), block.numbers) for block in found.blocks] == [
            ("Hello world\nagain", (1, 1)),
            ("Second page", (2,)),
        ]

    def test_without_a_title_it_goes_by_its_file_name(self) -> None:
        assert read("a.pdf", pdf([["Hello"]])).title == "a.pdf"

    def test_pages_without_text_are_named_as_a_scan(self) -> None:
        assert "scanned" in refused("a.pdf", pdf([[]]))

    def test_an_encrypted_file_is_refused(self) -> None:
        assert "encrypted" in refused("a.pdf", pdf([["Hello"]], encrypt=True))

    def test_a_file_that_only_restricts_printing_is_read(self) -> None:
        assert texts(read("a.pdf", locked_pdf(""))) == ["Hello"]

    def test_a_file_with_a_password_is_refused(self) -> None:
        assert refused("a.pdf", locked_pdf("secret")) == "encrypted: it needs a password"

    def test_encryption_that_needs_a_missing_library_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unable(*_: object) -> None:
            raise DependencyError("cryptography")

        monkeypatch.setattr(PdfReader, "decrypt", unable)
        assert refused("a.pdf", locked_pdf("")) == "encrypted"

    @pytest.mark.parametrize("content", [b"%PDF-1.4 and then nothing", b"no pdf at all", pdf([["x"]])[:200]])
    def test_a_broken_file_is_refused(self, content: bytes) -> None:
        assert "cannot be read" in refused("a.pdf", content)

    def test_one_bad_page_does_not_lose_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        extract_text = PageObject.extract_text
        pages: list[int] = []

        def fail_first(page: PageObject) -> str:
            pages.append(len(pages))
            if len(pages) == 1:
                raise KeyError("/Font")
            return extract_text(page) + "\ud800\x00"

        monkeypatch.setattr(PageObject, "extract_text", fail_first)
        found = read("a.pdf", pdf([["One"], ["Two"]]))
        assert texts(found) == ["Two\n?"]
        assert list(found.faults) == ["page 1 could not be read: KeyError: '/Font'"]


def word(title: str = "") -> bytes:
    document = Document()
    document.core_properties.title = title
    document.add_paragraph("Report", style="Title")
    document.add_paragraph("Intro.")
    document.add_heading("Results", 1)
    table = document.add_table(rows=2, cols=2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 0).text, table.cell(1, 1).text = "0", "0"
    document.add_heading("Detail", 2)
    document.add_paragraph("More.")
    out = BytesIO()
    document.save(out)
    return out.getvalue()


class TestWord:
    def test_paragraphs_headings_and_tables_come_in_order(self) -> None:
        found = read("a.docx", word())
        assert (found.title, found.kind) == ("Report", "word")
        assert texts(found) == ["Intro.", "wide\n0\t0", "More."]
        assert places(found) == [
            (("Report",), None),
            (("Report", "Results"), None),
            (("Report", "Results", "Detail"), None),
        ]

    def test_the_files_own_title_goes_first(self) -> None:
        assert read("a.docx", word("Named")).title == "Named"

    def test_what_word_encrypts_is_refused(self) -> None:
        assert "encrypted" in refused("a.docx", b"\xd0\xcf\x11\xe0" + bytes(600))

    def test_other_files_of_that_name_are_refused(self) -> None:
        assert refused("a.docx", b"text") == "not a Word file"
        out = BytesIO()
        with ZipFile(out, "w") as archive:
            archive.writestr("x", "y")
        assert "cannot be read" in refused("a.docx", out.getvalue())

    def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workers.knowledge.readers.word._MAX_UNPACKED_BYTES", 1000)
        assert "unpacks to" in refused("a.docx", word())


class TestRecords:
    def test_json_is_cut_at_its_outermost_members(self) -> None:
        long = "x" * 900
        found = read("a.json", f'{{\n  "a": {{\n    "t": "{long}"\n  }},\n  "b": "{long}"\n}}\n')
        assert [block.numbers for block in found.blocks] == [(1, 2, 3, 4), (5, 6, 7)]

    def test_json_in_one_line_and_broken_json_are_text_all_the_same(self) -> None:
        assert texts(read("a.json", '{"a": 1')) == ['{"a": 1']

    def test_json_lines_are_gathered_up_to_a_size(self) -> None:
        found = read("a.jsonl", "\n".join(f'{{"n": {n}, "t": "{"x" * 500}"}}' for n in range(5)))
        assert [block.numbers for block in found.blocks] == [(1, 2), (3, 4), (5,)]

    @pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
    def test_column_names_head_all_rows(self, name: str, separator: str) -> None:
        rows = [["name", "price"], *[["x" * 400, str(n)] for n in range(6)]]
        found = read(name, "\n".join(separator.join(row) for row in rows))
        assert {block.headings for block in found.blocks} == {("name, price",)}
        assert [block.numbers for block in found.blocks] == [(1, 2, 3), (4, 5), (6, 7)]

    def test_a_row_with_line_ends_in_quotes_is_not_cut(self) -> None:
        row = '"' + "x\n" * 500 + '",1'
        found = read("a.csv", f"name,price\n{row}\n{row}\n")
        assert len(found.blocks) == 2
        assert len(found.blocks[1].lines) == 502

    @pytest.mark.parametrize("header", ["alone", '"' + "x" * 200_000 + ",b"])
    def test_a_header_without_columns_is_just_a_row(self, header: str) -> None:
        assert {block.headings for block in read("a.csv", f"{header}\nb\n").blocks} == {()}


class TestBytes:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    def test_encodings_are_told_apart(self, encoding: str) -> None:
        assert texts(read("a.txt", "naïve Größe".encode(encoding))) == ["naïve Größe"]

    def test_big_endian_utf16_is_known_by_its_mark(self) -> None:
        assert texts(read("a.txt", b"\xfe\xff" + "Größe".encode("utf-16-be"))) == ["Größe"]

    def test_broken_utf16_is_refused(self) -> None:
        assert "broken UTF-16" in refused("a.txt", b"\xff\xfea")

    @pytest.mark.parametrize("ends", ["\r\n", "\r", "\n"])
    def test_all_line_ends_count_as_one(self, ends: str) -> None:
        assert places(read("a.txt", f"one{ends}{ends}two")) == [((), (1,)), ((), (3,))]

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("a.txt", b"", "empty"),
            ("a.txt", b" \n\n ", "empty"),
            ("a.pdf", b"", "empty"),
            ("a.txt", b"\x00\x01text", "binary, not text"),
            ("a.md", bytes(range(1, 32)) * 20, "binary, not text"),
            ("a.md", b"---\n***\n", "no text in it"),
            ("a.exe", b"MZ", "unknown kind (.exe)"),
            ("README", b"text", "unknown kind (no suffix)"),
        ],
    )
    def test_what_gives_nothing_is_refused_with_its_reason(self, name: str, content: bytes, reason: str) -> None:
        assert refused(name, content) == reason

    def test_a_stray_control_character_does_not_make_a_text_binary(self) -> None:
        assert texts(read("a.txt", "a\x01b\x7f")) == ["a\x01b\x7f"]

    def test_suffixes_are_known_in_capitals(self) -> None:
        assert read("A.MD", "text").kind == "markdown"
