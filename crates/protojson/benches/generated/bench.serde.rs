impl serde::Serialize for Blob {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.object_key.is_empty() {
            len += 1;
        }
        if !self.content.is_empty() {
            len += 1;
        }
        if !self.sha256.is_empty() {
            len += 1;
        }
        if !self.chunks.is_empty() {
            len += 1;
        }
        if self.size_bytes != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.Blob", len)?;
        if !self.object_key.is_empty() {
            struct_ser.serialize_field("objectKey", &self.object_key)?;
        }
        if !self.content.is_empty() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("content", pbjson::private::base64::encode(&self.content).as_str())?;
        }
        if !self.sha256.is_empty() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("sha256", pbjson::private::base64::encode(&self.sha256).as_str())?;
        }
        if !self.chunks.is_empty() {
            struct_ser.serialize_field("chunks", &self.chunks.iter().map(pbjson::private::base64::encode).collect::<Vec<_>>())?;
        }
        if self.size_bytes != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("sizeBytes", ToString::to_string(&self.size_bytes).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Blob {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "object_key",
            "objectKey",
            "content",
            "sha256",
            "chunks",
            "size_bytes",
            "sizeBytes",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ObjectKey,
            Content,
            Sha256,
            Chunks,
            SizeBytes,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "objectKey" | "object_key" => Ok(GeneratedField::ObjectKey),
                            "content" => Ok(GeneratedField::Content),
                            "sha256" => Ok(GeneratedField::Sha256),
                            "chunks" => Ok(GeneratedField::Chunks),
                            "sizeBytes" | "size_bytes" => Ok(GeneratedField::SizeBytes),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Blob;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.Blob")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Blob, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut object_key__ = None;
                let mut content__ = None;
                let mut sha256__ = None;
                let mut chunks__ = None;
                let mut size_bytes__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ObjectKey => {
                            if object_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("objectKey"));
                            }
                            object_key__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Content => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("content"));
                            }
                            content__ = 
                                Some(map_.next_value::<::pbjson::private::BytesDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Sha256 => {
                            if sha256__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sha256"));
                            }
                            sha256__ = 
                                Some(map_.next_value::<::pbjson::private::BytesDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Chunks => {
                            if chunks__.is_some() {
                                return Err(serde::de::Error::duplicate_field("chunks"));
                            }
                            chunks__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::BytesDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::SizeBytes => {
                            if size_bytes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sizeBytes"));
                            }
                            size_bytes__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Blob {
                    object_key: object_key__.unwrap_or_default(),
                    content: content__.unwrap_or_default(),
                    sha256: sha256__.unwrap_or_default(),
                    chunks: chunks__.unwrap_or_default(),
                    size_bytes: size_bytes__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.Blob", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChangeEvent {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event_id != 0 {
            len += 1;
        }
        if self.transaction_id != 0 {
            len += 1;
        }
        if self.log_sequence_number != 0 {
            len += 1;
        }
        if !self.tenant_id.is_empty() {
            len += 1;
        }
        if !self.trace_id.is_empty() {
            len += 1;
        }
        if self.op != 0 {
            len += 1;
        }
        if self.event_time.is_some() {
            len += 1;
        }
        if self.commit_time.is_some() {
            len += 1;
        }
        if self.replication_lag.is_some() {
            len += 1;
        }
        if self.source.is_some() {
            len += 1;
        }
        if self.before.is_some() {
            len += 1;
        }
        if self.after.is_some() {
            len += 1;
        }
        if !self.changed_columns.is_empty() {
            len += 1;
        }
        if !self.headers.is_empty() {
            len += 1;
        }
        if !self.counters.is_empty() {
            len += 1;
        }
        if self.schema_version != 0 {
            len += 1;
        }
        if self.partition != 0 {
            len += 1;
        }
        if self.offset != 0 {
            len += 1;
        }
        if self.is_replay {
            len += 1;
        }
        if self.sampling_rate != 0. {
            len += 1;
        }
        if !self.actor_user_name.is_empty() {
            len += 1;
        }
        if !self.affected_row_ids.is_empty() {
            len += 1;
        }
        if self.checksum != 0 {
            len += 1;
        }
        if self.comment.is_some() {
            len += 1;
        }
        if !self.region.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.ChangeEvent", len)?;
        if self.event_id != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("eventId", ToString::to_string(&self.event_id).as_str())?;
        }
        if self.transaction_id != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("transactionId", ToString::to_string(&self.transaction_id).as_str())?;
        }
        if self.log_sequence_number != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("logSequenceNumber", ToString::to_string(&self.log_sequence_number).as_str())?;
        }
        if !self.tenant_id.is_empty() {
            struct_ser.serialize_field("tenantId", &self.tenant_id)?;
        }
        if !self.trace_id.is_empty() {
            struct_ser.serialize_field("traceId", &self.trace_id)?;
        }
        if self.op != 0 {
            let v = Op::try_from(self.op)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.op)))?;
            struct_ser.serialize_field("op", &v)?;
        }
        if let Some(v) = self.event_time.as_ref() {
            struct_ser.serialize_field("eventTime", v)?;
        }
        if let Some(v) = self.commit_time.as_ref() {
            struct_ser.serialize_field("commitTime", v)?;
        }
        if let Some(v) = self.replication_lag.as_ref() {
            struct_ser.serialize_field("replicationLag", v)?;
        }
        if let Some(v) = self.source.as_ref() {
            struct_ser.serialize_field("source", v)?;
        }
        if let Some(v) = self.before.as_ref() {
            struct_ser.serialize_field("before", v)?;
        }
        if let Some(v) = self.after.as_ref() {
            struct_ser.serialize_field("after", v)?;
        }
        if !self.changed_columns.is_empty() {
            struct_ser.serialize_field("changedColumns", &self.changed_columns)?;
        }
        if !self.headers.is_empty() {
            struct_ser.serialize_field("headers", &self.headers)?;
        }
        if !self.counters.is_empty() {
            let v: std::collections::HashMap<_, _> = self.counters.iter()
                .map(|(k, v)| (k, v.to_string())).collect();
            struct_ser.serialize_field("counters", &v)?;
        }
        if self.schema_version != 0 {
            struct_ser.serialize_field("schemaVersion", &self.schema_version)?;
        }
        if self.partition != 0 {
            struct_ser.serialize_field("partition", &self.partition)?;
        }
        if self.offset != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("offset", ToString::to_string(&self.offset).as_str())?;
        }
        if self.is_replay {
            struct_ser.serialize_field("isReplay", &self.is_replay)?;
        }
        if self.sampling_rate != 0. {
            struct_ser.serialize_field("samplingRate", &self.sampling_rate)?;
        }
        if !self.actor_user_name.is_empty() {
            struct_ser.serialize_field("actorUserName", &self.actor_user_name)?;
        }
        if !self.affected_row_ids.is_empty() {
            struct_ser.serialize_field("affectedRowIds", &self.affected_row_ids.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        }
        if self.checksum != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("checksum", ToString::to_string(&self.checksum).as_str())?;
        }
        if let Some(v) = self.comment.as_ref() {
            struct_ser.serialize_field("comment", v)?;
        }
        if !self.region.is_empty() {
            struct_ser.serialize_field("region", &self.region)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChangeEvent {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "event_id",
            "eventId",
            "transaction_id",
            "transactionId",
            "log_sequence_number",
            "logSequenceNumber",
            "tenant_id",
            "tenantId",
            "trace_id",
            "traceId",
            "op",
            "event_time",
            "eventTime",
            "commit_time",
            "commitTime",
            "replication_lag",
            "replicationLag",
            "source",
            "before",
            "after",
            "changed_columns",
            "changedColumns",
            "headers",
            "counters",
            "schema_version",
            "schemaVersion",
            "partition",
            "offset",
            "is_replay",
            "isReplay",
            "sampling_rate",
            "samplingRate",
            "actor_user_name",
            "actorUserName",
            "affected_row_ids",
            "affectedRowIds",
            "checksum",
            "comment",
            "region",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            EventId,
            TransactionId,
            LogSequenceNumber,
            TenantId,
            TraceId,
            Op,
            EventTime,
            CommitTime,
            ReplicationLag,
            Source,
            Before,
            After,
            ChangedColumns,
            Headers,
            Counters,
            SchemaVersion,
            Partition,
            Offset,
            IsReplay,
            SamplingRate,
            ActorUserName,
            AffectedRowIds,
            Checksum,
            Comment,
            Region,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "eventId" | "event_id" => Ok(GeneratedField::EventId),
                            "transactionId" | "transaction_id" => Ok(GeneratedField::TransactionId),
                            "logSequenceNumber" | "log_sequence_number" => Ok(GeneratedField::LogSequenceNumber),
                            "tenantId" | "tenant_id" => Ok(GeneratedField::TenantId),
                            "traceId" | "trace_id" => Ok(GeneratedField::TraceId),
                            "op" => Ok(GeneratedField::Op),
                            "eventTime" | "event_time" => Ok(GeneratedField::EventTime),
                            "commitTime" | "commit_time" => Ok(GeneratedField::CommitTime),
                            "replicationLag" | "replication_lag" => Ok(GeneratedField::ReplicationLag),
                            "source" => Ok(GeneratedField::Source),
                            "before" => Ok(GeneratedField::Before),
                            "after" => Ok(GeneratedField::After),
                            "changedColumns" | "changed_columns" => Ok(GeneratedField::ChangedColumns),
                            "headers" => Ok(GeneratedField::Headers),
                            "counters" => Ok(GeneratedField::Counters),
                            "schemaVersion" | "schema_version" => Ok(GeneratedField::SchemaVersion),
                            "partition" => Ok(GeneratedField::Partition),
                            "offset" => Ok(GeneratedField::Offset),
                            "isReplay" | "is_replay" => Ok(GeneratedField::IsReplay),
                            "samplingRate" | "sampling_rate" => Ok(GeneratedField::SamplingRate),
                            "actorUserName" | "actor_user_name" => Ok(GeneratedField::ActorUserName),
                            "affectedRowIds" | "affected_row_ids" => Ok(GeneratedField::AffectedRowIds),
                            "checksum" => Ok(GeneratedField::Checksum),
                            "comment" => Ok(GeneratedField::Comment),
                            "region" => Ok(GeneratedField::Region),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChangeEvent;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.ChangeEvent")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChangeEvent, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event_id__ = None;
                let mut transaction_id__ = None;
                let mut log_sequence_number__ = None;
                let mut tenant_id__ = None;
                let mut trace_id__ = None;
                let mut op__ = None;
                let mut event_time__ = None;
                let mut commit_time__ = None;
                let mut replication_lag__ = None;
                let mut source__ = None;
                let mut before__ = None;
                let mut after__ = None;
                let mut changed_columns__ = None;
                let mut headers__ = None;
                let mut counters__ = None;
                let mut schema_version__ = None;
                let mut partition__ = None;
                let mut offset__ = None;
                let mut is_replay__ = None;
                let mut sampling_rate__ = None;
                let mut actor_user_name__ = None;
                let mut affected_row_ids__ = None;
                let mut checksum__ = None;
                let mut comment__ = None;
                let mut region__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::EventId => {
                            if event_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("eventId"));
                            }
                            event_id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TransactionId => {
                            if transaction_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("transactionId"));
                            }
                            transaction_id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::LogSequenceNumber => {
                            if log_sequence_number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logSequenceNumber"));
                            }
                            log_sequence_number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TenantId => {
                            if tenant_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tenantId"));
                            }
                            tenant_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TraceId => {
                            if trace_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("traceId"));
                            }
                            trace_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Op => {
                            if op__.is_some() {
                                return Err(serde::de::Error::duplicate_field("op"));
                            }
                            op__ = Some(map_.next_value::<Op>()? as i32);
                        }
                        GeneratedField::EventTime => {
                            if event_time__.is_some() {
                                return Err(serde::de::Error::duplicate_field("eventTime"));
                            }
                            event_time__ = map_.next_value()?;
                        }
                        GeneratedField::CommitTime => {
                            if commit_time__.is_some() {
                                return Err(serde::de::Error::duplicate_field("commitTime"));
                            }
                            commit_time__ = map_.next_value()?;
                        }
                        GeneratedField::ReplicationLag => {
                            if replication_lag__.is_some() {
                                return Err(serde::de::Error::duplicate_field("replicationLag"));
                            }
                            replication_lag__ = map_.next_value()?;
                        }
                        GeneratedField::Source => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("source"));
                            }
                            source__ = map_.next_value()?;
                        }
                        GeneratedField::Before => {
                            if before__.is_some() {
                                return Err(serde::de::Error::duplicate_field("before"));
                            }
                            before__ = map_.next_value()?;
                        }
                        GeneratedField::After => {
                            if after__.is_some() {
                                return Err(serde::de::Error::duplicate_field("after"));
                            }
                            after__ = map_.next_value()?;
                        }
                        GeneratedField::ChangedColumns => {
                            if changed_columns__.is_some() {
                                return Err(serde::de::Error::duplicate_field("changedColumns"));
                            }
                            changed_columns__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Headers => {
                            if headers__.is_some() {
                                return Err(serde::de::Error::duplicate_field("headers"));
                            }
                            headers__ = Some(
                                map_.next_value::<std::collections::HashMap<_, _>>()?
                            );
                        }
                        GeneratedField::Counters => {
                            if counters__.is_some() {
                                return Err(serde::de::Error::duplicate_field("counters"));
                            }
                            counters__ = Some(
                                map_.next_value::<std::collections::HashMap<_, ::pbjson::private::NumberDeserialize<i64>>>()?
                                    .into_iter().map(|(k,v)| (k, v.0)).collect()
                            );
                        }
                        GeneratedField::SchemaVersion => {
                            if schema_version__.is_some() {
                                return Err(serde::de::Error::duplicate_field("schemaVersion"));
                            }
                            schema_version__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Partition => {
                            if partition__.is_some() {
                                return Err(serde::de::Error::duplicate_field("partition"));
                            }
                            partition__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Offset => {
                            if offset__.is_some() {
                                return Err(serde::de::Error::duplicate_field("offset"));
                            }
                            offset__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::IsReplay => {
                            if is_replay__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isReplay"));
                            }
                            is_replay__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SamplingRate => {
                            if sampling_rate__.is_some() {
                                return Err(serde::de::Error::duplicate_field("samplingRate"));
                            }
                            sampling_rate__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::ActorUserName => {
                            if actor_user_name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("actorUserName"));
                            }
                            actor_user_name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::AffectedRowIds => {
                            if affected_row_ids__.is_some() {
                                return Err(serde::de::Error::duplicate_field("affectedRowIds"));
                            }
                            affected_row_ids__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Checksum => {
                            if checksum__.is_some() {
                                return Err(serde::de::Error::duplicate_field("checksum"));
                            }
                            checksum__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Comment => {
                            if comment__.is_some() {
                                return Err(serde::de::Error::duplicate_field("comment"));
                            }
                            comment__ = map_.next_value()?;
                        }
                        GeneratedField::Region => {
                            if region__.is_some() {
                                return Err(serde::de::Error::duplicate_field("region"));
                            }
                            region__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ChangeEvent {
                    event_id: event_id__.unwrap_or_default(),
                    transaction_id: transaction_id__.unwrap_or_default(),
                    log_sequence_number: log_sequence_number__.unwrap_or_default(),
                    tenant_id: tenant_id__.unwrap_or_default(),
                    trace_id: trace_id__.unwrap_or_default(),
                    op: op__.unwrap_or_default(),
                    event_time: event_time__,
                    commit_time: commit_time__,
                    replication_lag: replication_lag__,
                    source: source__,
                    before: before__,
                    after: after__,
                    changed_columns: changed_columns__.unwrap_or_default(),
                    headers: headers__.unwrap_or_default(),
                    counters: counters__.unwrap_or_default(),
                    schema_version: schema_version__.unwrap_or_default(),
                    partition: partition__.unwrap_or_default(),
                    offset: offset__.unwrap_or_default(),
                    is_replay: is_replay__.unwrap_or_default(),
                    sampling_rate: sampling_rate__.unwrap_or_default(),
                    actor_user_name: actor_user_name__.unwrap_or_default(),
                    affected_row_ids: affected_row_ids__.unwrap_or_default(),
                    checksum: checksum__.unwrap_or_default(),
                    comment: comment__,
                    region: region__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.ChangeEvent", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ColumnValue {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.column_name.is_empty() {
            len += 1;
        }
        if self.type_oid != 0 {
            len += 1;
        }
        if self.value.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.ColumnValue", len)?;
        if !self.column_name.is_empty() {
            struct_ser.serialize_field("columnName", &self.column_name)?;
        }
        if self.type_oid != 0 {
            struct_ser.serialize_field("typeOid", &self.type_oid)?;
        }
        if let Some(v) = self.value.as_ref() {
            match v {
                column_value::Value::BoolValue(v) => {
                    struct_ser.serialize_field("boolValue", v)?;
                }
                column_value::Value::IntValue(v) => {
                    #[allow(clippy::needless_borrow)]
                    #[allow(clippy::needless_borrows_for_generic_args)]
                    struct_ser.serialize_field("intValue", ToString::to_string(&v).as_str())?;
                }
                column_value::Value::DoubleValue(v) => {
                    struct_ser.serialize_field("doubleValue", v)?;
                }
                column_value::Value::StringValue(v) => {
                    struct_ser.serialize_field("stringValue", v)?;
                }
                column_value::Value::BytesValue(v) => {
                    #[allow(clippy::needless_borrow)]
                    #[allow(clippy::needless_borrows_for_generic_args)]
                    struct_ser.serialize_field("bytesValue", pbjson::private::base64::encode(&v).as_str())?;
                }
                column_value::Value::TimestampValue(v) => {
                    struct_ser.serialize_field("timestampValue", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ColumnValue {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "column_name",
            "columnName",
            "type_oid",
            "typeOid",
            "bool_value",
            "boolValue",
            "int_value",
            "intValue",
            "double_value",
            "doubleValue",
            "string_value",
            "stringValue",
            "bytes_value",
            "bytesValue",
            "timestamp_value",
            "timestampValue",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ColumnName,
            TypeOid,
            BoolValue,
            IntValue,
            DoubleValue,
            StringValue,
            BytesValue,
            TimestampValue,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "columnName" | "column_name" => Ok(GeneratedField::ColumnName),
                            "typeOid" | "type_oid" => Ok(GeneratedField::TypeOid),
                            "boolValue" | "bool_value" => Ok(GeneratedField::BoolValue),
                            "intValue" | "int_value" => Ok(GeneratedField::IntValue),
                            "doubleValue" | "double_value" => Ok(GeneratedField::DoubleValue),
                            "stringValue" | "string_value" => Ok(GeneratedField::StringValue),
                            "bytesValue" | "bytes_value" => Ok(GeneratedField::BytesValue),
                            "timestampValue" | "timestamp_value" => Ok(GeneratedField::TimestampValue),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ColumnValue;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.ColumnValue")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ColumnValue, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut column_name__ = None;
                let mut type_oid__ = None;
                let mut value__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ColumnName => {
                            if column_name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("columnName"));
                            }
                            column_name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TypeOid => {
                            if type_oid__.is_some() {
                                return Err(serde::de::Error::duplicate_field("typeOid"));
                            }
                            type_oid__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::BoolValue => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("boolValue"));
                            }
                            value__ = map_.next_value::<::std::option::Option<_>>()?.map(column_value::Value::BoolValue);
                        }
                        GeneratedField::IntValue => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("intValue"));
                            }
                            value__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| column_value::Value::IntValue(x.0));
                        }
                        GeneratedField::DoubleValue => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("doubleValue"));
                            }
                            value__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| column_value::Value::DoubleValue(x.0));
                        }
                        GeneratedField::StringValue => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stringValue"));
                            }
                            value__ = map_.next_value::<::std::option::Option<_>>()?.map(column_value::Value::StringValue);
                        }
                        GeneratedField::BytesValue => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("bytesValue"));
                            }
                            value__ = map_.next_value::<::std::option::Option<::pbjson::private::BytesDeserialize<_>>>()?.map(|x| column_value::Value::BytesValue(x.0));
                        }
                        GeneratedField::TimestampValue => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("timestampValue"));
                            }
                            value__ = map_.next_value::<::std::option::Option<_>>()?.map(column_value::Value::TimestampValue)
;
                        }
                    }
                }
                Ok(ColumnValue {
                    column_name: column_name__.unwrap_or_default(),
                    type_oid: type_oid__.unwrap_or_default(),
                    value: value__,
                })
            }
        }
        deserializer.deserialize_struct("bench.ColumnValue", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Document {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.document_id.is_empty() {
            len += 1;
        }
        if !self.title.is_empty() {
            len += 1;
        }
        if !self.paragraphs.is_empty() {
            len += 1;
        }
        if !self.labels.is_empty() {
            len += 1;
        }
        if !self.source_url.is_empty() {
            len += 1;
        }
        if !self.tags.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.Document", len)?;
        if !self.document_id.is_empty() {
            struct_ser.serialize_field("documentId", &self.document_id)?;
        }
        if !self.title.is_empty() {
            struct_ser.serialize_field("title", &self.title)?;
        }
        if !self.paragraphs.is_empty() {
            struct_ser.serialize_field("paragraphs", &self.paragraphs)?;
        }
        if !self.labels.is_empty() {
            struct_ser.serialize_field("labels", &self.labels)?;
        }
        if !self.source_url.is_empty() {
            struct_ser.serialize_field("sourceUrl", &self.source_url)?;
        }
        if !self.tags.is_empty() {
            struct_ser.serialize_field("tags", &self.tags)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Document {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "document_id",
            "documentId",
            "title",
            "paragraphs",
            "labels",
            "source_url",
            "sourceUrl",
            "tags",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            DocumentId,
            Title,
            Paragraphs,
            Labels,
            SourceUrl,
            Tags,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "documentId" | "document_id" => Ok(GeneratedField::DocumentId),
                            "title" => Ok(GeneratedField::Title),
                            "paragraphs" => Ok(GeneratedField::Paragraphs),
                            "labels" => Ok(GeneratedField::Labels),
                            "sourceUrl" | "source_url" => Ok(GeneratedField::SourceUrl),
                            "tags" => Ok(GeneratedField::Tags),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Document;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.Document")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Document, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut document_id__ = None;
                let mut title__ = None;
                let mut paragraphs__ = None;
                let mut labels__ = None;
                let mut source_url__ = None;
                let mut tags__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::DocumentId => {
                            if document_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("documentId"));
                            }
                            document_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Title => {
                            if title__.is_some() {
                                return Err(serde::de::Error::duplicate_field("title"));
                            }
                            title__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Paragraphs => {
                            if paragraphs__.is_some() {
                                return Err(serde::de::Error::duplicate_field("paragraphs"));
                            }
                            paragraphs__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Labels => {
                            if labels__.is_some() {
                                return Err(serde::de::Error::duplicate_field("labels"));
                            }
                            labels__ = Some(
                                map_.next_value::<std::collections::HashMap<_, _>>()?
                            );
                        }
                        GeneratedField::SourceUrl => {
                            if source_url__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sourceUrl"));
                            }
                            source_url__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Tags => {
                            if tags__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tags"));
                            }
                            tags__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Document {
                    document_id: document_id__.unwrap_or_default(),
                    title: title__.unwrap_or_default(),
                    paragraphs: paragraphs__.unwrap_or_default(),
                    labels: labels__.unwrap_or_default(),
                    source_url: source_url__.unwrap_or_default(),
                    tags: tags__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.Document", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Heartbeat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.sequence != 0 {
            len += 1;
        }
        if self.sent_at.is_some() {
            len += 1;
        }
        if !self.host_name.is_empty() {
            len += 1;
        }
        if self.healthy {
            len += 1;
        }
        if self.queue_depth != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.Heartbeat", len)?;
        if self.sequence != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("sequence", ToString::to_string(&self.sequence).as_str())?;
        }
        if let Some(v) = self.sent_at.as_ref() {
            struct_ser.serialize_field("sentAt", v)?;
        }
        if !self.host_name.is_empty() {
            struct_ser.serialize_field("hostName", &self.host_name)?;
        }
        if self.healthy {
            struct_ser.serialize_field("healthy", &self.healthy)?;
        }
        if self.queue_depth != 0 {
            struct_ser.serialize_field("queueDepth", &self.queue_depth)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Heartbeat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "sequence",
            "sent_at",
            "sentAt",
            "host_name",
            "hostName",
            "healthy",
            "queue_depth",
            "queueDepth",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Sequence,
            SentAt,
            HostName,
            Healthy,
            QueueDepth,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "sequence" => Ok(GeneratedField::Sequence),
                            "sentAt" | "sent_at" => Ok(GeneratedField::SentAt),
                            "hostName" | "host_name" => Ok(GeneratedField::HostName),
                            "healthy" => Ok(GeneratedField::Healthy),
                            "queueDepth" | "queue_depth" => Ok(GeneratedField::QueueDepth),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Heartbeat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.Heartbeat")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Heartbeat, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut sequence__ = None;
                let mut sent_at__ = None;
                let mut host_name__ = None;
                let mut healthy__ = None;
                let mut queue_depth__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Sequence => {
                            if sequence__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sequence"));
                            }
                            sequence__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::SentAt => {
                            if sent_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sentAt"));
                            }
                            sent_at__ = map_.next_value()?;
                        }
                        GeneratedField::HostName => {
                            if host_name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("hostName"));
                            }
                            host_name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Healthy => {
                            if healthy__.is_some() {
                                return Err(serde::de::Error::duplicate_field("healthy"));
                            }
                            healthy__ = Some(map_.next_value()?);
                        }
                        GeneratedField::QueueDepth => {
                            if queue_depth__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queueDepth"));
                            }
                            queue_depth__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Heartbeat {
                    sequence: sequence__.unwrap_or_default(),
                    sent_at: sent_at__,
                    host_name: host_name__.unwrap_or_default(),
                    healthy: healthy__.unwrap_or_default(),
                    queue_depth: queue_depth__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.Heartbeat", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Metrics {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.series_id != 0 {
            len += 1;
        }
        if !self.samples.is_empty() {
            len += 1;
        }
        if !self.timestamps_ms.is_empty() {
            len += 1;
        }
        if !self.deltas.is_empty() {
            len += 1;
        }
        if !self.weights.is_empty() {
            len += 1;
        }
        if !self.bucket_counts.is_empty() {
            len += 1;
        }
        if self.min_value != 0. {
            len += 1;
        }
        if self.max_value != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.Metrics", len)?;
        if self.series_id != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seriesId", ToString::to_string(&self.series_id).as_str())?;
        }
        if !self.samples.is_empty() {
            struct_ser.serialize_field("samples", &self.samples)?;
        }
        if !self.timestamps_ms.is_empty() {
            struct_ser.serialize_field("timestampsMs", &self.timestamps_ms.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        }
        if !self.deltas.is_empty() {
            struct_ser.serialize_field("deltas", &self.deltas)?;
        }
        if !self.weights.is_empty() {
            struct_ser.serialize_field("weights", &self.weights)?;
        }
        if !self.bucket_counts.is_empty() {
            struct_ser.serialize_field("bucketCounts", &self.bucket_counts.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        }
        if self.min_value != 0. {
            struct_ser.serialize_field("minValue", &self.min_value)?;
        }
        if self.max_value != 0. {
            struct_ser.serialize_field("maxValue", &self.max_value)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Metrics {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "series_id",
            "seriesId",
            "samples",
            "timestamps_ms",
            "timestampsMs",
            "deltas",
            "weights",
            "bucket_counts",
            "bucketCounts",
            "min_value",
            "minValue",
            "max_value",
            "maxValue",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            SeriesId,
            Samples,
            TimestampsMs,
            Deltas,
            Weights,
            BucketCounts,
            MinValue,
            MaxValue,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "seriesId" | "series_id" => Ok(GeneratedField::SeriesId),
                            "samples" => Ok(GeneratedField::Samples),
                            "timestampsMs" | "timestamps_ms" => Ok(GeneratedField::TimestampsMs),
                            "deltas" => Ok(GeneratedField::Deltas),
                            "weights" => Ok(GeneratedField::Weights),
                            "bucketCounts" | "bucket_counts" => Ok(GeneratedField::BucketCounts),
                            "minValue" | "min_value" => Ok(GeneratedField::MinValue),
                            "maxValue" | "max_value" => Ok(GeneratedField::MaxValue),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Metrics;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.Metrics")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Metrics, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut series_id__ = None;
                let mut samples__ = None;
                let mut timestamps_ms__ = None;
                let mut deltas__ = None;
                let mut weights__ = None;
                let mut bucket_counts__ = None;
                let mut min_value__ = None;
                let mut max_value__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::SeriesId => {
                            if series_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seriesId"));
                            }
                            series_id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Samples => {
                            if samples__.is_some() {
                                return Err(serde::de::Error::duplicate_field("samples"));
                            }
                            samples__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::TimestampsMs => {
                            if timestamps_ms__.is_some() {
                                return Err(serde::de::Error::duplicate_field("timestampsMs"));
                            }
                            timestamps_ms__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Deltas => {
                            if deltas__.is_some() {
                                return Err(serde::de::Error::duplicate_field("deltas"));
                            }
                            deltas__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Weights => {
                            if weights__.is_some() {
                                return Err(serde::de::Error::duplicate_field("weights"));
                            }
                            weights__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::BucketCounts => {
                            if bucket_counts__.is_some() {
                                return Err(serde::de::Error::duplicate_field("bucketCounts"));
                            }
                            bucket_counts__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::MinValue => {
                            if min_value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("minValue"));
                            }
                            min_value__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MaxValue => {
                            if max_value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxValue"));
                            }
                            max_value__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Metrics {
                    series_id: series_id__.unwrap_or_default(),
                    samples: samples__.unwrap_or_default(),
                    timestamps_ms: timestamps_ms__.unwrap_or_default(),
                    deltas: deltas__.unwrap_or_default(),
                    weights: weights__.unwrap_or_default(),
                    bucket_counts: bucket_counts__.unwrap_or_default(),
                    min_value: min_value__.unwrap_or_default(),
                    max_value: max_value__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.Metrics", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Node {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.node_id != 0 {
            len += 1;
        }
        if !self.kind.is_empty() {
            len += 1;
        }
        if self.child.is_some() {
            len += 1;
        }
        if !self.children.is_empty() {
            len += 1;
        }
        if self.leaf {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.Node", len)?;
        if self.node_id != 0 {
            struct_ser.serialize_field("nodeId", &self.node_id)?;
        }
        if !self.kind.is_empty() {
            struct_ser.serialize_field("kind", &self.kind)?;
        }
        if let Some(v) = self.child.as_ref() {
            struct_ser.serialize_field("child", v)?;
        }
        if !self.children.is_empty() {
            struct_ser.serialize_field("children", &self.children)?;
        }
        if self.leaf {
            struct_ser.serialize_field("leaf", &self.leaf)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Node {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "node_id",
            "nodeId",
            "kind",
            "child",
            "children",
            "leaf",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            NodeId,
            Kind,
            Child,
            Children,
            Leaf,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "nodeId" | "node_id" => Ok(GeneratedField::NodeId),
                            "kind" => Ok(GeneratedField::Kind),
                            "child" => Ok(GeneratedField::Child),
                            "children" => Ok(GeneratedField::Children),
                            "leaf" => Ok(GeneratedField::Leaf),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Node;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.Node")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Node, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut node_id__ = None;
                let mut kind__ = None;
                let mut child__ = None;
                let mut children__ = None;
                let mut leaf__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::NodeId => {
                            if node_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("nodeId"));
                            }
                            node_id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Kind => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("kind"));
                            }
                            kind__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Child => {
                            if child__.is_some() {
                                return Err(serde::de::Error::duplicate_field("child"));
                            }
                            child__ = map_.next_value()?;
                        }
                        GeneratedField::Children => {
                            if children__.is_some() {
                                return Err(serde::de::Error::duplicate_field("children"));
                            }
                            children__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Leaf => {
                            if leaf__.is_some() {
                                return Err(serde::de::Error::duplicate_field("leaf"));
                            }
                            leaf__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Node {
                    node_id: node_id__.unwrap_or_default(),
                    kind: kind__.unwrap_or_default(),
                    child: child__,
                    children: children__.unwrap_or_default(),
                    leaf: leaf__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.Node", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Op {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "OP_UNSPECIFIED",
            Self::Create => "OP_CREATE",
            Self::Update => "OP_UPDATE",
            Self::Delete => "OP_DELETE",
            Self::Read => "OP_READ",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Op {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "OP_UNSPECIFIED",
            "OP_CREATE",
            "OP_UPDATE",
            "OP_DELETE",
            "OP_READ",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Op;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "OP_UNSPECIFIED" => Ok(Op::Unspecified),
                    "OP_CREATE" => Ok(Op::Create),
                    "OP_UPDATE" => Ok(Op::Update),
                    "OP_DELETE" => Ok(Op::Delete),
                    "OP_READ" => Ok(Op::Read),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Row {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.columns.is_empty() {
            len += 1;
        }
        if !self.attributes.is_empty() {
            len += 1;
        }
        if self.row_version != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.Row", len)?;
        if !self.columns.is_empty() {
            struct_ser.serialize_field("columns", &self.columns)?;
        }
        if !self.attributes.is_empty() {
            struct_ser.serialize_field("attributes", &self.attributes)?;
        }
        if self.row_version != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("rowVersion", ToString::to_string(&self.row_version).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Row {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "columns",
            "attributes",
            "row_version",
            "rowVersion",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Columns,
            Attributes,
            RowVersion,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "columns" => Ok(GeneratedField::Columns),
                            "attributes" => Ok(GeneratedField::Attributes),
                            "rowVersion" | "row_version" => Ok(GeneratedField::RowVersion),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Row;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.Row")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Row, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut columns__ = None;
                let mut attributes__ = None;
                let mut row_version__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Columns => {
                            if columns__.is_some() {
                                return Err(serde::de::Error::duplicate_field("columns"));
                            }
                            columns__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Attributes => {
                            if attributes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("attributes"));
                            }
                            attributes__ = Some(
                                map_.next_value::<std::collections::HashMap<_, _>>()?
                            );
                        }
                        GeneratedField::RowVersion => {
                            if row_version__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rowVersion"));
                            }
                            row_version__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Row {
                    columns: columns__.unwrap_or_default(),
                    attributes: attributes__.unwrap_or_default(),
                    row_version: row_version__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.Row", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Source {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.connector.is_empty() {
            len += 1;
        }
        if !self.cluster_name.is_empty() {
            len += 1;
        }
        if !self.db_name.is_empty() {
            len += 1;
        }
        if !self.schema_name.is_empty() {
            len += 1;
        }
        if !self.table_name.is_empty() {
            len += 1;
        }
        if self.server_id != 0 {
            len += 1;
        }
        if !self.gtid.is_empty() {
            len += 1;
        }
        if self.log_pos != 0 {
            len += 1;
        }
        if self.is_snapshot {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("bench.Source", len)?;
        if !self.connector.is_empty() {
            struct_ser.serialize_field("connector", &self.connector)?;
        }
        if !self.cluster_name.is_empty() {
            struct_ser.serialize_field("clusterName", &self.cluster_name)?;
        }
        if !self.db_name.is_empty() {
            struct_ser.serialize_field("dbName", &self.db_name)?;
        }
        if !self.schema_name.is_empty() {
            struct_ser.serialize_field("schemaName", &self.schema_name)?;
        }
        if !self.table_name.is_empty() {
            struct_ser.serialize_field("tableName", &self.table_name)?;
        }
        if self.server_id != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("serverId", ToString::to_string(&self.server_id).as_str())?;
        }
        if !self.gtid.is_empty() {
            struct_ser.serialize_field("gtid", &self.gtid)?;
        }
        if self.log_pos != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("logPos", ToString::to_string(&self.log_pos).as_str())?;
        }
        if self.is_snapshot {
            struct_ser.serialize_field("isSnapshot", &self.is_snapshot)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Source {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "connector",
            "cluster_name",
            "clusterName",
            "db_name",
            "dbName",
            "schema_name",
            "schemaName",
            "table_name",
            "tableName",
            "server_id",
            "serverId",
            "gtid",
            "log_pos",
            "logPos",
            "is_snapshot",
            "isSnapshot",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Connector,
            ClusterName,
            DbName,
            SchemaName,
            TableName,
            ServerId,
            Gtid,
            LogPos,
            IsSnapshot,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "connector" => Ok(GeneratedField::Connector),
                            "clusterName" | "cluster_name" => Ok(GeneratedField::ClusterName),
                            "dbName" | "db_name" => Ok(GeneratedField::DbName),
                            "schemaName" | "schema_name" => Ok(GeneratedField::SchemaName),
                            "tableName" | "table_name" => Ok(GeneratedField::TableName),
                            "serverId" | "server_id" => Ok(GeneratedField::ServerId),
                            "gtid" => Ok(GeneratedField::Gtid),
                            "logPos" | "log_pos" => Ok(GeneratedField::LogPos),
                            "isSnapshot" | "is_snapshot" => Ok(GeneratedField::IsSnapshot),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Source;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct bench.Source")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Source, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut connector__ = None;
                let mut cluster_name__ = None;
                let mut db_name__ = None;
                let mut schema_name__ = None;
                let mut table_name__ = None;
                let mut server_id__ = None;
                let mut gtid__ = None;
                let mut log_pos__ = None;
                let mut is_snapshot__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Connector => {
                            if connector__.is_some() {
                                return Err(serde::de::Error::duplicate_field("connector"));
                            }
                            connector__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ClusterName => {
                            if cluster_name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("clusterName"));
                            }
                            cluster_name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::DbName => {
                            if db_name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dbName"));
                            }
                            db_name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SchemaName => {
                            if schema_name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("schemaName"));
                            }
                            schema_name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TableName => {
                            if table_name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tableName"));
                            }
                            table_name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ServerId => {
                            if server_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("serverId"));
                            }
                            server_id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Gtid => {
                            if gtid__.is_some() {
                                return Err(serde::de::Error::duplicate_field("gtid"));
                            }
                            gtid__ = Some(map_.next_value()?);
                        }
                        GeneratedField::LogPos => {
                            if log_pos__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logPos"));
                            }
                            log_pos__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::IsSnapshot => {
                            if is_snapshot__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isSnapshot"));
                            }
                            is_snapshot__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Source {
                    connector: connector__.unwrap_or_default(),
                    cluster_name: cluster_name__.unwrap_or_default(),
                    db_name: db_name__.unwrap_or_default(),
                    schema_name: schema_name__.unwrap_or_default(),
                    table_name: table_name__.unwrap_or_default(),
                    server_id: server_id__.unwrap_or_default(),
                    gtid: gtid__.unwrap_or_default(),
                    log_pos: log_pos__.unwrap_or_default(),
                    is_snapshot: is_snapshot__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("bench.Source", FIELDS, GeneratedVisitor)
    }
}
