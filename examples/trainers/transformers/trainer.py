"""A tiny BERT of Hugging Face's Transformers reads the digits: each pixel is a token, its brightness the word.

The model is made from its configuration alone; nothing is downloaded.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification

import muster
from muster.adapters import torch as bridge

bridge.limit_threads()
LEVELS = 17


def make(seed):
    torch.manual_seed(seed)
    configuration = BertConfig(
        vocab_size=LEVELS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        type_vocab_size=1,
        num_labels=10,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
        initializer_range=0.1,
    )
    return BertForSequenceClassification(configuration)


model = make(1)


def samples(context):
    x, y = context.data()
    # 8×8 brightnesses of 0 to 1 become 64 words of 0 to 16.
    tokens = (x.reshape(len(x), -1) * (LEVELS - 1)).round()
    return torch.from_numpy(tokens).long(), torch.from_numpy(y)


def measure(tokens, y):
    loss, correct = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(y), 128):
            rows = slice(start, start + 128)
            scores = model(input_ids=tokens[rows]).logits
            loss += float(cross_entropy(scores, y[rows], reduction="sum"))
            correct += int((scores.argmax(1) == y[rows]).sum())
    return {"loss": loss / len(y), "accuracy": correct / len(y)}


def initialize(task: muster.Task, context: muster.Context) -> muster.Parameters:
    return bridge.parameters(make(task.seed))


def train(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Update:
    local = task.local
    local.only("weight_decay")
    bridge.load(model, parameters)
    tokens, y = samples(context)
    before = measure(tokens, y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=local.rate, weight_decay=local.weight_decay)
    batches = context.batches(len(y))
    for rows in batches:
        optimizer.zero_grad()
        output = model(input_ids=tokens[rows], labels=y[rows])
        output.loss.backward()
        optimizer.step()
        batches.add(output.loss, (output.logits.argmax(1) == y[rows]).sum())
    return muster.Update(bridge.parameters(model), len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: muster.Task, parameters: muster.Parameters, context: muster.Context) -> muster.Evaluation:
    bridge.load(model, parameters)
    tokens, y = samples(context)
    return muster.Evaluation(len(y), measure(tokens, y))
