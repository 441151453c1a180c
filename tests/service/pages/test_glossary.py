"""Terms are explained by buttons that open their definition, without scripts."""

import re

from byline_service.pages.glossary import GLOSSARY
from byline_service.pages.rendering import _TEMPLATES

SHOWN = '{% import "glossary.html" as glossary %}{{ glossary.term("escrow", "<set aside>") }}{{ glossary.definitions(all) }}'


def test_a_term_is_a_button_that_opens_its_one_definition():
    page = _TEMPLATES.from_string(SHOWN).render(all=GLOSSARY)
    assert 'popovertarget="term-escrow">&lt;set aside&gt;</button>' in page
    places = re.findall(r'<div id="term-([a-z-]+)" class="definition" popover', page)
    assert places == list(GLOSSARY), "each once"
    assert GLOSSARY["escrow"].text in page


def test_definitions_are_one_to_three_short_sentences():
    for key, each in GLOSSARY.items():
        assert re.fullmatch(r"[a-z-]+", key)
        sentences = re.split(r"(?<=\.) ", each.text)
        assert each.text.endswith("."), key
        assert len(sentences) <= 3, key
        assert all(len(sentence.split()) <= 26 for sentence in sentences), key
