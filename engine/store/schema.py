"""The tables. `migrations/` brings a database of any earlier release to this shape; a test holds the two together.

Wall-clock times are Unix seconds (float64: microseconds until the year 2255); media times are the stream's seconds.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.types import Double, TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts up by itself only in a column of the type INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")
_Time: TypeEngine[float] = Double().with_variant(Float(), "sqlite")

streams = Table(
    "streams",
    metadata,
    Column("id", String(256), primary_key=True),
    Column("url", Text, nullable=False),
    Column("channel", String(256)),
    Column("group", String(64), nullable=False, server_default=""),
    Column("loop", Boolean, nullable=False, server_default=false()),
    Column("rendition", String(16), nullable=False, server_default="best"),
    Column("reference", String(256)),
    Column("subsets", JSON),
    Column("profile", String(256)),
    Column("detectors", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("maintenance", JSON, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("updated_at", _Time, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject", String(256), nullable=False),  # the channel, or the stream that belongs to none
    Column("stream", String(256), nullable=False),
    Column("detector", String(128), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("severity_rank", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("start", _Time, nullable=False),
    Column("end", _Time),
    Column("score", _Time, nullable=False),
    Column("closed_by", String(32)),
    Column("cause", Text),
    Column("measures", JSON, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("opened_at", _Time, nullable=False),
    Column("closed_at", _Time),
    Column("updated_at", _Time, nullable=False),
    Column("reopenings", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("muted", Boolean, nullable=False),
    Column("muted_by", String(256)),
    Column("acknowledged_at", _Time),
    Column("acknowledged_by", String(256)),
    Index(None, "opened_at", "id"),
    Index(None, "subject", "detector", "opened_at"),
    Index(None, "state", "opened_at"),
)

# What engines reported: one row for each defect that the judge opened. An incident is made of one or more of them.
incident_parts = Table(
    "incident_parts",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("stream", String(256), nullable=False),
    Column("session", String(64), nullable=False),
    Column("start", _Time, nullable=False),
    Column("end", _Time),
    Column("score", _Time, nullable=False),
    Column("measures", JSON, nullable=False),
    Column("opened_at", _Time, nullable=False),
    Column("closed_at", _Time),
    Column("closed_by", String(32)),
    Index(None, "stream", "closed_at"),
)

incident_labels = Table(
    "incident_labels",
    metadata,
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("value", String(1024), nullable=False),
    Index(None, "name", "value"),
)

comments = Table(
    "comments",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", _Time, nullable=False),
    Column("author", String(256), nullable=False),
    Column("text", Text, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("place", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", _Time, nullable=False, index=True),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("key", String(256), nullable=False, unique=True),
    Column("sink", String(128), nullable=False),
    Column("grouping", String(512), nullable=False),
    Column("incident_id", String(32), nullable=False),
    Column("change", String(16), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("batch", String(64)),
    Column("attempts", Integer, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("due_at", _Time, nullable=False),
    Column("leased_until", _Time, nullable=False),
    Column("settled_at", _Time),
    Column("error", Text),
    Index(None, "state", "sink", "due_at"),
    Index(None, "sink", "incident_id", "state"),
)

# Many engines on many machines (engine/cluster). An engine's `incarnation` grows with every start of its process; what
# it owns it owns until its lease ends, or somebody else was made the owner.
cluster_engines = Table(
    "cluster_engines",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("incarnation", Integer, nullable=False),
    Column("node", String(128), nullable=False),
    Column("process", JSON, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("state", JSON, nullable=False),
    Column("emptied", Boolean, nullable=False, server_default=false()),
    Column("registered_at", _Time, nullable=False),
    Column("lease_until", _Time, nullable=False),
)

# What is judged as one, and by whom: a stream, or one of the subsets of its detectors. `epoch` grows with every change
# of the owner, and only grows.
cluster_units = Table(
    "cluster_units",
    metadata,
    Column("stream", String(256), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("plan", JSON, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("together", String(256), nullable=False),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("epoch", Integer, nullable=False),
    Column("owner", String(128), index=True),
    Column("owner_incarnation", Integer, nullable=False, server_default="0"),
    Column("owned_from", _Time, nullable=False, server_default="0"),
    Column("before", String(128), index=True),
    Column("before_incarnation", Integer, nullable=False, server_default="0"),
    Column("before_from", _Time, nullable=False, server_default="0"),
    Column("next", String(128), index=True),
    Column("next_incarnation", Integer, nullable=False, server_default="0"),
    Column("next_since", _Time, nullable=False, server_default="0"),
    Column("refused", Text),
)
