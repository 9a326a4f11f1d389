"""A saved view of a W&B project, with the panels that compare strategies, sweeps and models."""

from fraud_ae.errors import UserError
from fraud_ae.tracking.server import ask_server

NAME = "fraud_ae"
_FIGURES = ("final_auc", "average_precision", "precision", "recall", "f1")
_PARAMETERS = (
    "features.name",
    "model.latent_dim",
    "model.activation",
    "trainer.learning_rate",
    "trainer.batch_size",
)


def save_workspace(entity: str | None, project: str, seconds: float) -> str:
    """Save the view, and return its address.

    entity: None for that of the key. seconds: most that the server may take. Raises UserError where
    the extra is not installed, or the server does not take the view.
    """
    try:
        from wandb_workspaces import workspaces
    except ImportError as error:
        raise UserError(
            "fraud-ae workspace needs wandb-workspaces: pip install 'fraud_ae[workspace]'"
        ) from error
    import wandb

    sections = [
        workspaces.Section(name=name, panels=panels, is_open=True)
        for name, panels in _sections().items()
    ]
    groups = [workspaces.Metric("Group"), workspaces.Metric("JobType")]

    def save() -> str:
        workspace = workspaces.Workspace(
            entity=entity or wandb.Api().default_entity,
            project=project,
            name=NAME,
            sections=sections,
            runset_settings=workspaces.RunsetSettings(groupby=groups),
        )
        workspace.save()
        return workspace.url

    try:
        return ask_server(seconds, save)
    except ConnectionError as error:
        raise UserError(f"W&B does not save the view ({error})") from error


def _sections() -> dict[str, list]:
    import wandb_workspaces.reports.v2 as panels

    auc = panels.SummaryMetric("final_auc")
    strategies = [
        panels.BarPlot(
            title=name.replace("_", " "),
            metrics=[panels.SummaryMetric(name)],
            groupby=panels.Config("features.name"),
            groupby_aggfunc="max",
            orientation="h",
        )
        for name in ("final_auc", "average_precision")
    ]
    columns = [panels.ParallelCoordinatesPlotColumn(panels.Config(name)) for name in _PARAMETERS]
    sweeps = [
        panels.ParallelCoordinatesPlot(
            columns=[*columns, panels.ParallelCoordinatesPlotColumn(auc)]
        ),
        panels.ParameterImportancePlot(with_respect_to="final_auc"),
        panels.ScatterPlot(x=panels.SummaryMetric("train_seconds"), y=auc),
    ]
    curves = [
        panels.LinePlot(title=name.replace("_", " "), x="epoch", y=[name])
        for name in ("train_loss", "val_loss", "learning_rate")
    ]
    alerts = [
        _curve("ROC curve", "roc_table", "false_positive_rate", "recall"),
        _curve("Precision and recall", "precision_recall_table", "recall", "precision"),
        panels.CustomChart(
            query={"summaryTable": {"tableKey": "confusion_matrix_table"}},
            chart_name="wandb/confusion_matrix/v1",
            chart_fields={name: name for name in ("Actual", "Predicted", "nPredictions")},
        ),
        panels.MediaBrowser(media_keys=["scores_normal", "scores_fraud"]),
        panels.WeavePanelSummaryTable(table_name="top_transactions"),
    ]
    figures = [panels.ScalarChart(title=name, metric=name) for name in _FIGURES]
    return {
        "Strategies": strategies,
        "Sweeps": sweeps,
        "Training curves": curves,
        "Alerts": alerts,
        "Figures": figures,
    }


def _curve(title: str, table: str, x: str, y: str):
    import wandb_workspaces.reports.v2 as panels

    return panels.CustomChart(
        query={"summaryTable": {"tableKey": table}},
        chart_name="wandb/area-under-curve/v0",
        chart_fields={"x": x, "y": y, "class": "class"},
        chart_strings={"title": title, "x-axis-title": x, "y-axis-title": y},
    )
