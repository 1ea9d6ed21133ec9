//! How many tasks run, and what they did.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use hookseal_domain::task::{TaskKind, TaskState};
use hookseal_store::tasks::StepReport;

/// What is counted of tasks.
#[derive(Default)]
pub(crate) struct TaskMetrics {
    /// Tasks that are worked off.
    pub(crate) running: Gauge,
    items: Family<ItemLabel, Counter>,
    ended: Family<EndLabel, Counter>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ItemLabel {
    task: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EndLabel {
    task: &'static str,
    ended: &'static str,
}

// === impl TaskMetrics ===

impl TaskMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "hookseal_tasks_running",
            "Background tasks that are worked off",
            metrics.running.clone(),
        );
        registry.register(
            "hookseal_task_items",
            "What background tasks did (deliveries made or ended, payloads forgotten, messages \
             published, applications looked at) and left out, by kind",
            metrics.items.clone(),
        );
        registry.register(
            "hookseal_tasks_ended",
            "Background tasks that ended by themselves, by kind and how",
            metrics.ended.clone(),
        );
        metrics
    }

    /// Counts a step.
    pub(crate) fn count(&self, kind: TaskKind, report: &StepReport) {
        let task = kind.as_str();
        for (result, count) in [("done", report.done), ("left_out", report.left_out)] {
            if count > 0 {
                let label = ItemLabel { task, result };
                self.items.get_or_create(&label).inc_by(count);
            }
        }
        let ended = match report.ended {
            None | Some(TaskState::Running) => return,
            Some(TaskState::Finished) => "finished",
            Some(TaskState::Failed(why)) => why.as_str(),
        };
        let label = EndLabel { task, ended };
        self.ended.get_or_create(&label).inc();
    }
}
