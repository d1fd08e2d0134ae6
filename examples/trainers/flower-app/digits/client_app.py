"""A Flower ClientApp: it knows nothing of Muster."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits import task

app = ClientApp()


def data(context: Context):
    node = context.node_config
    return task.load(node["images"], node["labels"], node["partition-id"], node["num-partitions"])


def model(message: Message):
    return {name: array.numpy().copy() for name, array in message.content["arrays"].items()}


@app.train()
def train(message: Message, context: Context) -> Message:
    arrays, (x, y) = model(message), data(context)
    config, run = message.content["config"], context.run_config
    loss = task.train(arrays, x, y, run["local-epochs"], run["batch-size"], config["lr"], config["server-round"])
    content = {
        "arrays": ArrayRecord({name: Array(array) for name, array in arrays.items()}),
        "metrics": MetricRecord({"loss": loss, "num-examples": len(y)}),
    }
    return Message(RecordDict(content), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    x, y = data(context)
    loss, accuracy = task.evaluate(model(message), x, y)
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(y)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
