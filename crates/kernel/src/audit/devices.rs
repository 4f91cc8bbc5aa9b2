//! Which devices there are: those of the API, and those that the configuration keeps.

use strongroom_base::Result;

use super::AuditLog;
use super::sinks::{Device, Unopened};
use crate::record::Scope;

impl AuditLog {
    /// Brings the records of the devices that the configuration keeps into line with it.
    pub(super) async fn declare_devices(&self) -> Result<()> {
        let (declared, now, after) = (&self.options.devices, self.store.now(), self.last_index());
        let tx = self.store.begin();
        let root = tx.write(Scope::ROOT);
        let known = root.all::<Device>(0).await?;
        for (path, device) in known.iter().filter(|(_, device)| device.configured) {
            if !declared.iter().any(|d| d.path == device.path) {
                root.delete_named::<Device>(0, path);
            }
        }
        for new in declared {
            let old = known.iter().map(|(_, device)| device).find(|d| d.path == new.path);
            if old.is_some_and(|old| !old.configured) {
                tracing::error!(
                    device = %new.path,
                    "an audit device of the configuration was enabled by the API before: disable \
                     it there first"
                );
                continue;
            }
            let same = old.is_some_and(|old| {
                (&old.kind, &old.description, &old.options)
                    == (&new.kind, &new.description, &new.options)
            });
            if !same {
                let device = Device {
                    kind: new.kind.clone(),
                    path: new.path.clone(),
                    description: new.description.clone(),
                    options: new.options.clone(),
                    local: false,
                    created: old.map_or(now, |old| old.created),
                    after: old.map_or(after, |old| old.after),
                    configured: true,
                };
                root.put_named(0, &device.path, &device)?;
            }
        }
        if tx.has_changes() {
            tx.commit().await?;
        }
        Ok(())
    }

    /// Opens a device's sink, without starting it: refuses what is wrong with its options.
    pub fn check_sink(&self, device: &Device) -> Result<()> {
        self.factory.open(&device.kind, &device.options).map(|_| ())
    }

    /// Starts a device. One that cannot be opened now lags until it can.
    pub fn start_sink(&self, device: &Device) {
        let sink = self.factory.open(&device.kind, &device.options).unwrap_or_else(|e| {
            tracing::error!(device = %device.path, error = %e, "an audit device did not open");
            Box::new(Unopened {
                factory: self.factory.clone(),
                kind: device.kind.clone(),
                options: device.options.clone(),
                opened: None,
            })
        });
        let (store, medium) = (self.store.clone(), self.medium.clone());
        self.sinks.start(device, sink, store, medium, self.wrote.clone());
    }

    /// Ends a device.
    pub fn stop_sink(&self, path: &str) {
        self.sinks.stop(path);
    }
}
