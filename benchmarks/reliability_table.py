"""What must not break: each fault, how it is injected, what is promised, and the tests that hold it.

`avjury bench reliability` runs the tests; `make chaos` runs it whole. Further rows are added here and nowhere else: a
test holds that every test named is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Part = Literal["faults", "bad inputs", "security"]


@dataclass(frozen=True, slots=True)
class Row:
    """One promise.

    Args:
        part: where it stands on the page.
        fault: what goes wrong.
        injected: how the tests do it, in words.
        promised: what holds then, in words.
        tests: pytest's addresses, below tests/.
        most: of figures that the tests record, the largest that keeps the promise.
        least: the smallest.
    """

    part: Part
    fault: str
    injected: str
    promised: str
    tests: tuple[str, ...]
    most: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)


def _row(part: Part, fault: str, injected: str, promised: str, *tests: str, **limits: Mapping[str, float]) -> Row:
    return Row(part, fault, injected, promised, tests, limits.get("most", {}), limits.get("least", {}))


_SOURCES: Final = "engine/test_live_sources.py::"
_NETWORK: Final = "faults/test_network_faults.py::"
_SOURCE: Final = "engine/test_source.py::"
_FLEET: Final = "service/test_fleet.py::"
_POLICY: Final = "engine/test_url_policy.py::"

ROWS: Final = (
    _row(
        "faults",
        "stall, drip, reset, close, refused",
        "a proxy between source and reader",
        "an incident within 6 s; judged again within 5 s of the return",
        _NETWORK + "test_each_broken_connection_is_known_soon_and_judged_again_soon_after_it_is_back",
        "service/test_faulty_sources.py",
        most={"longest until the incident s": 6.0, "longest until judged again s": 5.0},
    ),
    _row(
        "faults",
        "300 sources drop together",
        "a proxy that ends every connection",
        "at most 20 opens a second",
        _NETWORK + "test_three_hundred_sources_that_drop_together_are_opened_again_at_a_pace",
        _SOURCES + "test_three_hundred_sources_are_not_opened_at_once",
        most={"opens per second": 20.0},
    ),
    _row(
        "faults",
        "HLS: 404, frozen, gone segments, short",
        "an origin with modes",
        "distinct reasons",
        "service/test_faulty_sources.py",
        _SOURCES + "test_a_live_playlist_that_stops_is_a_stall_with_its_cause",
        "engine/test_hls.py::test_a_segment_that_is_gone_is_a_gap_and_no_lost_packets",
    ),
    _row(
        "faults",
        "bit flips",
        "a proxy that flips bits; flipped bits in files",
        "stays connected, counted and told once; at least 97 % of the pictures",
        _NETWORK + "test_flipped_bits_end_no_connection_and_cost_hardly_any_picture",
        "engine/test_transport.py::test_bit_errors_make_one_incident_and_the_same_on_every_run",
        _SOURCE + "test_corrupt_packets_in_the_middle_do_not_end_the_reading",
        most={"connections": 1},
        least={"share of pictures judged": 0.97},
    ),
    _row(
        "faults",
        "1 % of UDP lost",
        "a relay that loses by a seed",
        "at least 98 % of the pictures",
        _NETWORK + "test_lost_datagrams_cost_hardly_any_picture",
        least={"share of pictures judged": 0.98},
    ),
    _row(
        "faults",
        "size, rate, pixels, sound change",
        "joined transport streams",
        "`stream.format_change`, goes on",
        "engine/test_transport.py::test_a_changed_picture_size_opens_and_closes_at_once",
        "engine/test_transport.py::test_a_changed_picture_rate_is_found_where_it_changed",
        "engine/test_transport.py::test_changed_sound_and_pixels_are_told_in_words",
    ),
    _row(
        "faults",
        "another codec on the same track",
        "one sender after another, on the air",
        "`stream.format_change` and nothing else; judging pauses for 2 s at most",
        _SOURCES + "test_another_codec_on_the_air_is_read_on_without_an_outage",
        "engine/test_transport_told_once.py::test_another_codec_on_the_same_pid_is_a_change_of_format",
        most={"longest pause of judging s": 2.0},
    ),
    _row(
        "faults",
        "timestamps wrap, jump, go back",
        "made timestamps",
        "a wrap is nothing; a jump is told once",
        "engine/test_clock.py",
        "engine/test_transport.py::test_a_jump_of_the_timestamps",
        "engine/test_transport.py::test_a_wrap_of_the_33_bit_clock_is_no_defect",
        "engine/test_transport.py::test_a_step_back_and_timestamps_that_stop",
    ),
    _row(
        "faults",
        "a track is missing",
        "a channel without it",
        "told as `stream.missing_*` within 5 s, and as nothing else",
        _NETWORK + "test_a_channel_without_one_of_its_tracks_is_told_soon",
        "engine/test_transport_told_once.py::test_a_track_that_stays_out_is_missing_from_its_last_packet_to_its_next_one",
        _SOURCE + "test_audio_only_and_video_only_leave_the_other_track_out",
        "engine/test_hls.py::test_a_variant_without_pictures_says_so_by_its_codecs",
        most={"seconds until a missing track is told": 5.0},
    ),
    _row(
        "faults",
        "10 bit, 4:2:2, 4:4:4, interlaced, odd sizes",
        "encoder options",
        "decoded, and nothing is raised",
        *(
            f"engine/test_robustness.py::test_clean_pictures_raise_nothing_and_each_is_measured[{name}]"
            for name in (
                "10 bit 4:2:0",
                "10 bit 4:2:2",
                "10 bit 4:4:4",
                "12 bit 4:2:0",
                "8 bit 4:4:4",
                "interlaced",
                "odd 427x241",
                "odd 5x201",
            )
        ),
    ),
    _row(
        "faults",
        "8K",
        "encoder options; a limit below the picture",
        "judged whole beside a small stream, within 4 GB; above the limit refused as such",
        "faults/test_large_pictures.py",
        _SOURCE + "test_pictures_over_the_limit_are_refused",
        most={"peak memory MB": 4096.0},
    ),
    _row(
        "faults",
        "storm of errors",
        "records faster than can be read",
        "at most 5 lines a second and stream",
        "service/test_logs.py::test_a_stream_has_five_lines_a_second_and_says_what_it_held_back",
    ),
    _row(
        "faults",
        "a demuxer crashes",
        "kill -SEGV of the ingest process",
        "its own streams pause for 5 s, others lose nothing; five deaths are quarantine",
        _FLEET + "test_a_reader_that_crashes_costs_its_own_streams_five_seconds_and_others_nothing",
        _FLEET + "test_a_stream_that_kills_its_reader_is_quarantined_and_its_company_goes_on",
    ),
    _row(
        "faults",
        "an engine is killed",
        "kill -9",
        "back by itself, streams in new sessions",
        _FLEET + "test_an_engine_that_is_killed_is_back_and_judges_its_streams_in_new_sessions",
    ),
    _row(
        "faults",
        "CUDA out of memory",
        "raised on the CPU",
        "halves what is measured at once; the process lives",
        "engine/test_pipeline.py",
    ),
    _row(
        "faults",
        "a GPU that fails for good (CUDA 700, 719)",
        "raised on the CPU in a running engine",
        "the engine ends and is not ready; another one judges its streams within 15 s; never tried in place",
        "faults/test_gpu_failure.py",
        most={"seconds until judged again": 15.0},
    ),
    _row(
        "faults",
        "NVDEC sessions run out",
        "a driver of our own that refuses",
        "software, and said so",
        "engine/test_nvdec_adapter.py",
    ),
    _row(
        "faults",
        "3x overload",
        "made loads, step by step",
        "network first, then pictures, then low priorities; the machine stays well used, and nothing swings",
        "engine/test_overload.py",
        "engine/test_overload_settles.py",
    ),
    _row(
        "faults",
        "webhook: 503, dead, reply lost",
        "a receiver with modes",
        "resent with the same id; none lost",
        "notify/test_webhook.py",
        "notify/test_killed.py",
    ),
    _row(
        "faults",
        "the object store hangs",
        "SIGSTOP of its server",
        "spooled and sent in order",
        "store/test_verdict_bucket.py::test_a_store_that_hangs_is_waited_for_and_takes_everything_in_order",
    ),
    _row(
        "faults",
        "disk full",
        "a small file system, filled",
        "told within 5 s, nothing lost, heals itself",
        "service/test_full_disk.py",
        "store/test_disk_full.py",
        most={"seconds until it is told": 5.0},
    ),
    _row(
        "faults",
        "a disk that fails every write (EIO)",
        "a library between the service and its files",
        "told within 5 s, nothing lost, heals itself",
        "faults/test_broken_disk.py",
        most={"seconds until it is told": 5.0},
    ),
    _row(
        "faults",
        "the clock is set by an hour",
        "libfaketime",
        "no false stall",
        "faults/test_clock.py",
        most={"false stalls": 0},
    ),
    _row(
        "faults",
        "SIGTERM",
        "of a running service, with a watcher",
        "ends within 10 s",
        "service/test_supervisor.py::test_a_watcher_does_not_keep_the_service_from_ending",
    ),
    _row(
        "faults",
        "kill -9",
        "at random moments",
        "the same incidents go on, none twice",
        "service/test_supervisor.py::test_a_killed_service_comes_back_with_the_same_open_incident",
        "store/test_killed.py",
        "store/test_verdicts_killed.py",
    ),
    _row(
        "faults",
        "damaged database, log, spool",
        "seven corruptions",
        "set aside or cut, counted, started within 5 s",
        "store/test_damaged.py",
        "store/test_spool_log.py",
        "faults/test_start.py",
        most={"seconds to start": 5.0},
    ),
    _row(
        "faults",
        "bad reload",
        "wrong YAML, doubled ids, a missing file",
        "the old one stays, nothing is touched",
        "service/test_reload.py",
        "service/test_supervisor.py::test_sighup_reads_the_configuration_again",
    ),
    _row(
        "faults",
        "node loss, partition, loss of the head",
        "Ray nodes removed and stopped",
        "no second owned twice",
        "cluster/test_on_ray.py",
        "cluster/test_on_ray_anew.py",
        "cluster/test_owners.py",
        "cluster/test_gate.py",
    ),
    _row(
        "faults",
        "streams come and go",
        "600 of them",
        "no memory, handles or threads are left",
        "service/test_growth.py",
    ),
    _row(
        "bad inputs",
        "missing, a directory, unreadable",
        "files",
        "file not found / is a directory / permission denied",
        _SOURCE + "test_what_a_missing_file_is_told",
        _SOURCE + "test_what_a_directory_is_told",
        _SOURCE + "test_what_an_unreadable_file_is_told_even_as_root",
    ),
    _row(
        "bad inputs",
        "empty, short, random, mp4 without moov, no segments, HTML",
        "files and answers",
        "says which",
        _SOURCE + "test_what_a_bad_file_is_told",
        _SOURCE + "test_what_an_mp4_without_moov_is_told",
    ),
    _row(
        "bad inputs",
        "file:, concat:, subfile, async:, data:, lavfi",
        "addresses",
        "scheme not allowed",
        _POLICY + "test_schemes_that_reach_elsewhere_are_refused",
        _POLICY + "test_a_network_playlist_may_not_name_files",
    ),
    _row(
        "bad inputs",
        "loopback, private, decimal addresses, DNS rebinding",
        "addresses, a name server that changes",
        "address not allowed",
        _POLICY + "test_private_addresses_are_refused_in_every_spelling",
        "engine/test_checked_http.py",
    ),
    _row(
        "bad inputs",
        "playlists that name themselves, 2,000 variants, a million segments",
        "playlists",
        "playlist limit exceeded",
        _POLICY + "test_playlists_have_limits",
    ),
    _row(
        "bad inputs",
        "wrong port, password, name, TLS",
        "servers that refuse",
        "says which, without secrets",
        _SOURCE + "test_what_a_bad_network_input_is_told",
        _SOURCE + "test_no_message_shows_a_secret",
        _SOURCE + "test_what_a_plain_server_behind_https_is_told",
    ),
    _row(
        "bad inputs",
        "pictures over the limit",
        "a large picture",
        "resolution over limit",
        _SOURCE + "test_pictures_over_the_limit_are_refused",
    ),
    _row(
        "bad inputs",
        "unknown keys, doubled ids, NaN, wrong types",
        "configurations",
        "key, reason and line",
        "engine/test_config.py::test_a_mistake_is_told_with_its_line_and_key",
    ),
    _row(
        "bad inputs",
        "names with <script>, newlines, 10 kB, ../",
        "API and page",
        "refused or escaped",
        "service/test_page.py::test_nothing_that_a_stream_is_called_becomes_code",
        "service/test_streams_api.py::test_what_is_wrong_with_a_stream_is_told",
    ),
    _row(
        "bad inputs",
        "no token, wrong token, 10 MB, unknown id",
        "requests",
        "401, 401, 413, 404",
        "service/test_access.py",
    ),
    _row(
        "bad inputs", "pickled weights", "a pickle", "refused", "models/test_artifact_net.py::test_a_pickle_is_refused"
    ),
    _row(
        "bad inputs",
        "strangers' bytes",
        "draws; requests by the API's own document",
        "an error of ours, or nothing; no answer that the document does not name",
        "faults/test_strangers.py",
        "faults/test_api_bodies.py",
        "faults/test_openapi.py",
    ),
    _row(
        "security",
        "an ingest process that is taken over",
        "a process that tries",
        "reads its sources and the system's files; runs, writes and signals nothing; what it says breaks no engine",
        "engine/test_sandbox.py",
        "engine/test_ring.py",
        "engine/test_ingest_process.py::test_it_gives_up_what_it_does_not_need",
    ),
    _row(
        "security",
        "libav's protocols and formats",
        "addresses of every scheme; local and network playlists that name files",
        "schemes, protocols and demuxers are allow-listed before libav sees anything",
        _POLICY + "test_schemes_that_reach_elsewhere_are_refused",
        _POLICY + "test_what_a_network_input_may_use_never_includes_files",
        _POLICY + "test_a_local_playlist_may_name_local_media_only",
        _POLICY + "test_a_network_playlist_may_not_name_files",
    ),
    _row(
        "security",
        "segments, keys and redirects that lead elsewhere",
        "an origin that redirects, changes its playlist, names a key; a name server that changes its answer",
        "each is checked again where it is connected to",
        _POLICY + "test_a_playlist_may_not_lead_into_a_private_network",
        "engine/test_checked_http.py",
    ),
    _row(
        "security",
        "an FFmpeg with known flaws",
        "version numbers of old and new releases",
        "`avjury doctor` and every record name the version in use; doctor and the service's log warn below 8.1.3",
        "engine/test_doctor.py::test_ffmpeg_older_than_its_security_fixes_is_warned_of",
        "engine/test_doctor.py::test_the_ffmpeg_in_use_is_named",
    ),
    _row(
        "security",
        "pictures of a size that takes all memory",
        "a picture above the cap",
        "refused by the codec context's own cap, before it is decoded",
        _SOURCE + "test_pictures_over_the_limit_are_refused",
    ),
    _row(
        "security", "secrets in what comes out", "planted everywhere", "nowhere to be found", "service/test_secrets.py"
    ),
    _row(
        "security",
        "a service in the open",
        "addresses beyond loopback without a token; requests by other names and from other sites",
        "does not start without a token; other names and sites are refused",
        "service/test_access.py::test_listening_beyond_this_machine_takes_a_token",
        "service/test_access.py::test_without_tokens_only_this_machine_is_let_in",
        "service/test_access.py::test_metrics_and_reasons_are_hidden_where_they_are_not_open",
    ),
    _row(
        "security",
        "guessed tokens, and callers that ask too often",
        "requests",
        "429 with Retry-After, for that caller alone",
        "service/test_access.py::test_an_address_that_is_wrong_too_often_has_to_wait_and_those_who_are_known_do_not",
        "service/test_access.py::test_wrong_logins_of_the_page_count_as_well",
        "service/test_access.py::test_a_caller_that_asks_too_often_has_to_wait_and_no_other",
    ),
    _row("security", "who may do what", "every role, every route", "only what the role may", "service/test_access.py"),
    _row(
        "security",
        "forged notifications",
        "the standard's example",
        "signed, two keys, no redirects",
        "notify/test_webhook.py",
    ),
    _row(
        "security",
        "code in what the page shows",
        "names with markup; the page's own headers",
        "escaped; a content security policy without inline script",
        "service/test_page.py::test_nothing_that_a_stream_is_called_becomes_code",
        "service/test_page_api.py::test_the_page_lets_nothing_in_from_elsewhere",
    ),
    _row(
        "security",
        "weights that somebody else made",
        "a pickle; safetensors of other content",
        "safetensors of a known SHA-256, and nothing else",
        "models/test_artifact_net.py::test_a_pickle_is_refused",
        "models/test_artifact_net.py::test_changed_weights_are_refused",
    ),
    _row("security", "metric labels", "streams beyond the bound", "bounded, and counted", "service/test_metrics.py"),
    _row(
        "security",
        "containers",
        "their files",
        "confined: no root, read-only, no capabilities",
        "deploy/test_containers.py",
    ),
    _row(
        "security",
        "Ray in the open",
        "clients without the token, and without a certificate; the files of deploy/ray",
        "token and TLS on every node, no dashboard; strangers are refused",
        "cluster/test_on_ray_anew.py::test_with_token_and_tls_engines_judge_and_strangers_are_refused",
        "cluster/test_deploy_files.py",
    ),
    _row(
        "security",
        "verdicts depend on neighbours or threads",
        "the same stream alone, among others, on more threads",
        "the same to the last byte",
        "faults/test_determinism.py",
    ),
)
