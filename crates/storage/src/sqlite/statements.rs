//! The writer's prepared statements: each is prepared at its first use and kept for as long as the
//! connection is open.

use super::readers::{last, signed};
use super::schema;
use crate::{Change, INDEX_TABLES, Key, ROW_ID_END, ROW_TABLES};
use rusqlite::{Connection, Statement};

type Slot<'c> = Option<Statement<'c>>;
type RowSlots<'c> = [Slot<'c>; ROW_TABLES as usize];
type IndexSlots<'c> = [Slot<'c>; INDEX_TABLES as usize];

pub(super) struct Statements<'c> {
    connection: &'c Connection,
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    meta_put: Statement<'c>,
    row_put: RowSlots<'c>,
    row_delete: RowSlots<'c>,
    row_delete_range: RowSlots<'c>,
    index_put: IndexSlots<'c>,
    index_delete: IndexSlots<'c>,
    index_delete_range: IndexSlots<'c>,
}

fn prepared<'s, 'c>(
    connection: &'c Connection,
    slot: &'s mut Slot<'c>,
    sql: &str,
) -> rusqlite::Result<&'s mut Statement<'c>> {
    match slot {
        Some(statement) => Ok(statement),
        None => Ok(slot.insert(connection.prepare(sql)?)),
    }
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            meta_put: connection.prepare(schema::META_PUT)?,
            row_put: Default::default(),
            row_delete: Default::default(),
            row_delete_range: Default::default(),
            index_put: Default::default(),
            index_delete: Default::default(),
            index_delete_range: Default::default(),
        })
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.raw_execute().map(drop)
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.raw_execute().map(drop)
    }

    /// Ends the transaction without effect. SQLite may have done so already.
    pub(super) fn rollback(&mut self) -> rusqlite::Result<()> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.rollback.raw_execute().map(drop)
    }

    pub(super) fn put_meta(&mut self, id: i64, value: u64) -> rusqlite::Result<()> {
        self.meta_put.raw_bind_parameter(1, id)?;
        self.meta_put.raw_bind_parameter(2, value.to_be_bytes().as_slice())?;
        self.meta_put.raw_execute().map(drop)
    }

    /// Applies a change. The tables were checked when the commit was taken.
    pub(super) fn apply(&mut self, change: &Change) -> rusqlite::Result<()> {
        let connection = self.connection;
        match change {
            Change::Put(Key::Row(table, id), value) => {
                let at = usize::from(table.0);
                let put = prepared(connection, &mut self.row_put[at], schema::ROW_PUT[at])?;
                put.raw_bind_parameter(1, *id as i64)?;
                put.raw_bind_parameter(2, &**value)?;
                put.raw_execute().map(drop)
            }
            Change::Put(Key::Index(table, key), value) => {
                let at = usize::from(table.0);
                let put = prepared(connection, &mut self.index_put[at], schema::INDEX_PUT[at])?;
                put.raw_bind_parameter(1, key.as_slice())?;
                put.raw_bind_parameter(2, &**value)?;
                put.raw_execute().map(drop)
            }
            Change::Delete(Key::Row(table, id)) => {
                let at = usize::from(table.0);
                let delete =
                    prepared(connection, &mut self.row_delete[at], schema::ROW_DELETE[at])?;
                delete.raw_bind_parameter(1, *id as i64)?;
                delete.raw_execute().map(drop)
            }
            Change::Delete(Key::Index(table, key)) => {
                let at = usize::from(table.0);
                let sql = schema::INDEX_DELETE[at];
                let delete = prepared(connection, &mut self.index_delete[at], sql)?;
                delete.raw_bind_parameter(1, key.as_slice())?;
                delete.raw_execute().map(drop)
            }
            Change::DeleteRows { from, to, .. } if *from >= (*to).min(ROW_ID_END) => Ok(()),
            Change::DeleteRows { table, from, to } => {
                let at = usize::from(table.0);
                let sql = schema::ROW_DELETE_RANGE[at];
                let delete = prepared(connection, &mut self.row_delete_range[at], sql)?;
                delete.raw_bind_parameter(1, signed(*from))?;
                delete.raw_bind_parameter(2, last(*to))?;
                delete.raw_execute().map(drop)
            }
            Change::DeleteIndexRange { table, from, to } => {
                let at = usize::from(table.0);
                let sql = schema::INDEX_DELETE_RANGE[at];
                let delete = prepared(connection, &mut self.index_delete_range[at], sql)?;
                delete.raw_bind_parameter(1, from.as_slice())?;
                delete.raw_bind_parameter(2, to.as_slice())?;
                delete.raw_execute().map(drop)
            }
            // Refused before it came here.
            Change::Everything => Ok(()),
        }
    }
}
