"""The page of the gallery is joined from modules; the result must be one module without imports."""

import re
from pathlib import Path

import pytest

from handler.api.http.gallery_page import join_modules, join_page

FOLDER = Path(__file__).parents[2] / "handler" / "api" / "gallery"
DECLARED = re.compile(r"^(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
STATEMENT = re.compile(r"^\s*(?:import|export)\b", re.MULTILINE)


def test_modules_stand_behind_those_that_they_import(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text('import {\n  one,\n  two,\n} from "./a.js";\n\nexport const three = one + two;\n')
    (tmp_path / "a.js").write_text(
        'import { two } from "./b.js";\n\nexport const one = 1;\nexport { two };\nexport async function f() {}\n'
    )
    (tmp_path / "b.js").write_text('import { one } from "./a.js";\nexport class C {}\nexport let two = 2;\n')
    joined = join_modules(tmp_path)
    assert joined.index("class C {}") < joined.index("const one") < joined.index("const three")
    assert joined.count("let two = 2;") == 1
    assert "async function f() {}" in joined


def test_every_module_is_joined_once_with_names_of_its_own() -> None:
    joined = join_modules(FOLDER)
    assert STATEMENT.findall(joined) == []
    names = DECLARED.findall(joined)
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))
    for path in FOLDER.glob("*.js"):
        own = DECLARED.findall(re.sub(r"^export ", "", path.read_text(), flags=re.MULTILINE))
        assert set(own) <= set(names), path.name


def test_names_that_are_imported_exist_and_are_used() -> None:
    for path in FOLDER.glob("*.js"):
        text = path.read_text()
        body = re.sub(r"^import [^;]*;$", "", text, flags=re.MULTILINE)
        for listed, module in re.findall(r'^import \{([^}]*)\} from "\./([\w.-]+)";', text, re.MULTILINE):
            names = {name.strip() for name in listed.split(",")} - {""}
            assert names <= exports(FOLDER / module), f"{path.name} imports from {module}"
            assert [name for name in names if not re.search(rf"\b{name}\b", body)] == [], path.name


def exports(module: Path) -> set[str]:
    declared = re.findall(r"^export (?:async )?(?:function|class|const|let) (\w+)", module.read_text(), re.MULTILINE)
    return set(declared)


def test_nothing_ends_the_script_or_the_styles_early() -> None:
    document = join_page(FOLDER)
    assert document.html.count("<script") == document.html.count("</script>") == 1
    assert document.html.count("<style>") == document.html.count("</style>") == 1
    assert "<!--" not in document.html
    assert "gallery/" not in document.html
    assert not re.search(r'\sstyle=|\son\w+="', document.html)  # what the policy forbids


def test_the_page_writes_no_html_from_texts() -> None:
    joined = join_modules(FOLDER)
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert forbidden not in joined


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        join_page(tmp_path)
