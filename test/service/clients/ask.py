# Asks a service through OpenAI's Python client, whose answers are pydantic models, and prints what it made of them.
# python3 ask.py URL PICTURE QUESTION
import base64
import json
import sys

import openai

url, file, question = sys.argv[1:]
client = openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0)
with open(file, "rb") as picture:
    uri = "data:image/jpeg;base64," + base64.b64encode(picture.read()).decode()
messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": question}]}]
answer = client.chat.completions.create(model="pico-llava-f16", messages=messages, logprobs=True)
type(answer).model_validate(answer.model_dump(exclude={"choices": {"__all__": {"message": {"annotations"}}}}), strict=True)
streamed = ""
for chunk in client.chat.completions.create(model="pico-llava-f16", messages=messages, stream=True):
    streamed += chunk.choices[0].delta.content or ""
refused = None
try:
    client.chat.completions.create(model="pico-llava-f16", messages=messages, n=2)
except openai.BadRequestError as error:
    refused = error.param
print(json.dumps({"text": answer.choices[0].message.content, "streamed": streamed, "refused": refused, "models": [each.id for each in client.models.list()]}))
