"""A small server of language models: base and adapter of its workspace, by transformers and peft. Runs beside torch.

It speaks what it is asked of OpenAI's chat, greedily: `MODEL_NAME` answers with the adapter, `MODEL_NAME-base` without.
"""

import json
import os
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(1)  # as the trainer: another number adds sums in another order
WORDS: Any = AutoTokenizer.from_pretrained("base", local_files_only=True)
BASE: Any = AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32, local_files_only=True)
MODEL: Any = PeftModel.from_pretrained(BASE, ".").eval()
NAME = os.environ["MODEL_NAME"]


def answer(model: str, messages: list[dict[str, str]], tokens: int) -> str:
    text = WORDS.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    asked = WORDS(text, add_special_tokens=False, return_tensors="pt")
    adapter = nullcontext() if model == NAME else MODEL.disable_adapter()
    with torch.no_grad(), adapter:
        made = MODEL.generate(
            input_ids=asked["input_ids"],
            attention_mask=asked["attention_mask"],
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=WORDS.eos_token_id,
        )
    said: str = WORDS.decode(made[0][asked["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send(200, {"status": "ok"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or asked["model"] not in (NAME, f"{NAME}-base"):
            self._send(404, {"error": f"there is no {self.path} of {asked['model']}"})
            return
        said = answer(asked["model"], asked["messages"], asked["max_tokens"])
        self._send(200, {"choices": [{"message": {"role": "assistant", "content": said}}]})

    def _send(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
