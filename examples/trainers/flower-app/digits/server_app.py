"""The app's ServerApp. Under Muster only its first model is used: rounds and strategy are the task's."""

from flwr.app import Array, ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from digits import task

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    run = context.run_config
    first = ArrayRecord({name: Array(array) for name, array in task.initial(run["hidden"]).items()})
    result = FedAvg().start(
        grid=grid,
        initial_arrays=first,
        train_config=ConfigRecord({"lr": run["learning-rate"]}),
        num_rounds=run["num-server-rounds"],
    )
    print(result)
