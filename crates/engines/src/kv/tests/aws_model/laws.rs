//! What the model does with a request.

use super::*;

impl Secret {
    pub(super) fn current(&self) -> Option<&Version> {
        self.versions.iter().find(|v| v.number == self.current && v.number > 0)
    }

    /// The publication that stands for a value: the newest.
    pub(super) fn newest(&self, value: u64) -> Option<&Version> {
        self.versions.iter().filter(|v| v.value == value).max_by_key(|v| v.number)
    }

    pub(super) fn staged(&self, stage: &str) -> Option<u64> {
        if stage == "AWSCURRENT" {
            return self.current().map(|v| v.value);
        }
        if let Some((_, value)) = self.stages.iter().find(|(name, _)| name == stage) {
            return *value;
        }
        let current = self.current()?.value;
        let before = self.versions.iter().filter(|v| v.number > 0 && v.value != current);
        before.max_by_key(|v| v.number).filter(|_| stage == "AWSPREVIOUS").map(|v| v.value)
    }

    pub(super) fn labels_of(&self, value: u64) -> Vec<String> {
        let named = self.stages.iter().filter(|(_, at)| *at == Some(value));
        let mut labels: Vec<String> = named.map(|(name, _)| name.clone()).collect();
        for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
            if self.staged(stage) == Some(value) && !labels.contains(&stage.to_owned()) {
                labels.push(stage.to_owned());
            }
        }
        labels
    }

    pub(super) fn set_stage(&mut self, stage: &str, value: Option<u64>) {
        self.stages.retain(|(name, _)| name != stage);
        if value.is_some() || stage == "AWSPREVIOUS" {
            self.stages.push((stage.to_owned(), value));
        }
    }

    pub(super) fn is_labelled(stages: &[(String, Option<u64>)], value: u64) -> bool {
        stages.iter().any(|(_, at)| *at == Some(value))
    }

    pub(super) fn publish(&mut self, version: Version) {
        self.current += 1;
        self.stages.retain(|(name, _)| name != "AWSPREVIOUS");
        self.versions.push(Version { number: self.current, deleted: false, ..version });
        let keep = if self.max_versions == 0 { 10 } else { self.max_versions };
        if self.current - self.oldest >= keep {
            let last = self.current - keep;
            self.oldest = last + 1;
            let stages = self.stages.clone();
            self.versions.retain(|v| {
                v.number == 0 || v.number > last || Self::is_labelled(&stages, v.value)
            });
        }
    }

    pub(super) fn add_pending(&mut self, version: Version, stages: &[&str]) {
        let value = version.value;
        self.versions.push(version);
        self.set_stage(stages[0], Some(value));
        let keep = if self.max_versions == 0 { 10 } else { self.max_versions } as usize;
        let lost = |v: &Version, stages: &[(String, Option<u64>)]| {
            v.number == 0 && !Self::is_labelled(stages, v.value)
        };
        let all = self.versions.iter().filter(|v| lost(v, &self.stages)).count();
        let mut over = all.saturating_sub(keep);
        let stages_now = self.stages.clone();
        self.versions.retain(|v| {
            let goes = over > 0 && lost(v, &stages_now);
            over -= usize::from(goes);
            !goes
        });
        for stage in &stages[1..] {
            self.set_stage(stage, Some(value));
        }
    }

    /// What an object, written by KV, is kept as.
    pub(super) fn of_kv(&self, object: Value) -> Form {
        let only = |member: &str| {
            let map = object.as_object().unwrap();
            map.get(member).and_then(Value::as_str).filter(|_| map.len() == 1).map(str::to_owned)
        };
        let kept = match self.current().map(|v| &v.form) {
            Some(Form::Text(_)) => only("value").map(Form::Text),
            Some(Form::Binary(_)) => only("value_base64").map(Form::Binary),
            _ => None,
        };
        kept.unwrap_or_else(|| Form::Object(object.to_string()))
    }

    /// What text, written by AWS, is kept as.
    pub(super) fn of_aws(&self, text: &str) -> Form {
        let over = matches!(self.current().map(|v| &v.form), Some(Form::Object(_)));
        let object = serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object());
        if over && object { Form::Object(text.to_owned()) } else { Form::Text(text.to_owned()) }
    }
}

pub(super) fn in_kv(form: &Form) -> Value {
    match form {
        Form::Object(text) => serde_json::from_str(text).unwrap(),
        Form::Text(text) => json!({ "value": text }),
        Form::Binary(base64) => json!({ "value_base64": base64 }),
    }
}

pub(super) fn in_aws(form: &Form) -> Value {
    match form {
        Form::Object(text) | Form::Text(text) => json!({ "secret_string": text }),
        Form::Binary(base64) => json!({ "secret_binary": base64 }),
    }
}

impl Model {
    pub(super) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The secret, unless its deletion is scheduled.
    pub(super) fn open(&mut self, path: &str) -> Option<&mut Secret> {
        self.secrets.get_mut(path).filter(|s| !s.scheduled)
    }

    pub(super) fn of_aws(&mut self, path: &str) -> Result<&mut Secret, String> {
        match self.secrets.get_mut(path) {
            None => fails("ResourceNotFoundException"),
            Some(secret) if secret.scheduled => fails("InvalidRequestException"),
            Some(secret) => Ok(secret),
        }
    }

    pub(super) fn kv_write(&mut self, path: &str, object: Value, cas: Option<u64>) -> Said {
        let (made, value) = (self.next(), self.next());
        let secret = self.secrets.get(path).cloned();
        let mut secret = secret.unwrap_or(Secret { made, ..Secret::default() });
        let bad = match cas {
            _ if secret.scheduled => true,
            Some(cas) => cas != secret.current,
            None => secret.cas_required,
        };
        if bad {
            return fails("400");
        }
        let form = secret.of_kv(object);
        let version =
            Version { value, token: None, number: 0, form, deleted: false, destroyed: false };
        secret.publish(version);
        let number = secret.current;
        self.secrets.insert(path.to_owned(), secret);
        Ok(json!(number))
    }

    pub(super) fn kv_read(&mut self, path: &str, number: u64) -> Said {
        let Some(secret) = self.open(path) else { return fails("404") };
        let number = if number == 0 { secret.current } else { number };
        match secret.versions.iter().find(|v| v.number == number && number > 0) {
            Some(v) if !v.deleted && !v.destroyed => Ok(in_kv(&v.form)),
            _ => fails("404"),
        }
    }

    pub(super) fn kv_change(&mut self, path: &str, number: u64, change: impl Fn(&mut Version)) {
        let Some(secret) = self.open(path) else { return };
        let number = if number == 0 { secret.current } else { number };
        let found = secret.versions.iter_mut().find(|v| v.number == number && number > 0);
        if let Some(version) = found.filter(|v| !v.destroyed) {
            change(version);
        }
    }

    pub(super) fn create(&mut self, path: &str, token: &str, text: Option<&str>) -> Said {
        let (made, value) = (self.next(), self.next());
        if let Some(secret) = self.secrets.get(path) {
            if secret.scheduled {
                return fails("InvalidRequestException");
            }
            let same = match text {
                None => secret.made_with.as_deref() == Some(token),
                Some(text) => secret.versions.iter().any(|v| {
                    v.token.as_deref() == Some(token) && !v.destroyed && is_text(&v.form, text)
                }),
            };
            return if same {
                Ok(json!(text.map(|_| token)))
            } else {
                fails("ResourceExistsException")
            };
        }
        let mut secret = Secret { made, max_versions: 100, ..Secret::default() };
        match text {
            None => secret.made_with = Some(token.to_owned()),
            Some(text) => {
                let version = made_by_aws(value, token, secret.of_aws(text));
                secret.publish(version);
            }
        }
        self.secrets.insert(path.to_owned(), secret);
        Ok(json!(text.map(|_| token)))
    }

    pub(super) fn put(&mut self, path: &str, token: &str, given: &Form, stages: &[&str]) -> Said {
        let value = self.next();
        let secret = self.of_aws(path)?;
        let known = secret.versions.iter().find(|v| v.token.as_deref() == Some(token)).cloned();
        if let Some(known) = known {
            let newest = secret.newest(known.value).unwrap();
            let same = match given {
                Form::Text(text) => is_text(&newest.form, text),
                given => newest.form == *given,
            };
            return match same && !newest.destroyed {
                true => Ok(json!(secret.labels_of(known.value))),
                false => fails("ResourceExistsException"),
            };
        }
        let form = match given {
            Form::Text(text) => secret.of_aws(text),
            other => other.clone(),
        };
        let version = made_by_aws(value, token, form);
        if stages.is_empty() || stages.contains(&"AWSCURRENT") || secret.current == 0 {
            if secret.cas_required {
                return fails("InvalidRequestException");
            }
            secret.publish(version);
            for stage in stages.iter().filter(|s| **s != "AWSCURRENT") {
                secret.set_stage(stage, Some(value));
            }
        } else {
            secret.add_pending(version, stages);
        }
        Ok(json!(secret.labels_of(value)))
    }

    pub(super) fn move_stage(
        &mut self,
        path: &str,
        stage: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Said {
        let secret = self.of_aws(path)?;
        let find = |secret: &Secret, token: &str| {
            let found = secret.versions.iter().find(|v| v.token.as_deref() == Some(token));
            found.map(|v| v.value).ok_or("ResourceNotFoundException".to_owned())
        };
        let to = to.map(|t| find(secret, t)).transpose()?;
        let from = from.map(|t| find(secret, t)).transpose()?;
        let holder = secret.staged(stage);
        if !(from == holder || from.is_none() && holder == to) {
            return fails("InvalidParameterException");
        }
        match to {
            None if stage == "AWSCURRENT" => return fails("InvalidParameterException"),
            Some(to) if stage == "AWSCURRENT" => {
                let version = secret.newest(to).cloned().unwrap();
                if version.deleted || version.destroyed {
                    return fails("InvalidRequestException");
                }
                if version.number != secret.current {
                    secret.versions.retain(|v| v.value != to || v.number > 0);
                    secret.publish(version);
                }
            }
            to => secret.set_stage(stage, to),
        }
        Ok(Value::Null)
    }

    pub(super) fn get(&mut self, path: &str, stage: &str) -> Said {
        let secret = self.of_aws(path)?;
        let value = secret.staged(stage);
        match value.and_then(|value| secret.newest(value)) {
            Some(v) if !v.deleted && !v.destroyed => {
                let mut view = in_aws(&v.form);
                view["version_stages"] = json!(secret.labels_of(v.value));
                Ok(view)
            }
            _ => fails("ResourceNotFoundException"),
        }
    }

    pub(super) fn delete(&mut self, path: &str, force: bool) -> Said {
        match self.secrets.get_mut(path) {
            _ if force => {
                self.secrets.remove(path);
            }
            None => return fails("ResourceNotFoundException"),
            Some(secret) if secret.scheduled => return fails("InvalidRequestException"),
            Some(secret) => secret.scheduled = true,
        }
        Ok(Value::Null)
    }
}

pub(super) fn is_text(form: &Form, given: &str) -> bool {
    matches!(form, Form::Text(text) | Form::Object(text) if text == given)
}

pub(super) fn made_by_aws(value: u64, token: &str, form: Form) -> Version {
    let token = Some(token.to_owned());
    Version { value, token, number: 0, form, deleted: false, destroyed: false }
}
