"""Chat templates as models have them: with marks of the assistant's turns, and without."""

from pathlib import Path
from typing import Any

CHATML = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MARKED = (
    "{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<|end|>{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ m['content'] }}<|end|>{{ '\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHORT = (
    "{% for m in messages %}{{ m['role'][0] }}{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}a{% endif %}"
)
"""Takes few tokens."""
THINKING = (
    "{% for m in messages %}<|{{ m['role'] }}|>{% if m['role'] == 'assistant' and loop.last %}<think></think>{% endif %}"
    "{{ m['content'] }}<|end|>{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Writes thoughts in the last turn alone, as Qwen3 does."""
REWRITING = "{% for m in messages %}{{ loop.revindex }}{{ m['content'] }}{% endfor %}"
"""Writes each turn by its distance from the last one, as templates that leave earlier thoughts out."""
STRICT = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('users first') }}{% endif %}" + CHATML
TOOLS = (
    "{% for t in tools or [] %}<|tool|>{{ t['function']['name'] }}{% endfor %}"
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] if m['content'] is defined else '' }}"
    "{% for c in m['tool_calls'] or [] %}call {{ c['function']['name'] }} "
    "{{ c['function']['arguments'] | tojson }}{% endfor %}"
    "<|end|>{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Writes the tools and their calls."""
DATED = "Today: {{ date_string if date_string is defined else strftime_now('%d %b %Y') }}\n" + CHATML
"""Writes the date, as Llama 3 does."""

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "import?"},
    {"role": "assistant", "content": "os"},
    {"role": "user", "content": "def?"},
    {"role": "assistant", "content": "add(a, b)"},
]

TOOL = {"type": "function", "function": {"name": "add", "description": None}}
CALLS = [
    {"role": "user", "content": "1 + 2?"},
    {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1, "b": 2}}}]},
    {"role": "tool", "name": "add", "content": "3"},
    {"role": "assistant", "content": "three"},
]


def chat_tokenizer(folder: Path, template: str = CHATML) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.chat_template = template
    return tokenizer
