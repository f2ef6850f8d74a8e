"""The names of functions that write, and of functions that only read, as tables per vendor.

`READ_ONLY_FUNCTIONS` has the functions that Django's ORM emits and that reports commonly use. It is not a copy of a
server's catalog: a function in neither table may write, unless the server or a setting says that it does not. And a
database may have a function of its own with a name of the table: the server's catalog tells.
"""

# Functions that change rows, sequences, locks or the server, and that a SELECT can call.
_WRITING = """
    nextval setval txid_current pg_current_xact_id pg_notify pg_logical_emit_message
    lo_create lo_creat lo_import lo_export lo_unlink lo_put lo_from_bytea lowrite lo_truncate lo_truncate64
    pg_create_restore_point pg_switch_wal pg_create_physical_replication_slot pg_create_logical_replication_slot
    pg_copy_physical_replication_slot pg_copy_logical_replication_slot pg_replication_slot_advance
    pg_logical_slot_get_changes pg_logical_slot_get_binary_changes pg_promote
    pg_drop_replication_slot pg_file_write dblink dblink_exec dblink_open dblink_send_query
    writefile load_extension
"""
WRITING_FUNCTIONS = frozenset(_WRITING.split())

# Functions that take a lock by a number or name. They write nothing, and only the server that ran them knows the lock.
_ADVISORY_LOCKS = """
    pg_advisory_lock pg_advisory_lock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
    get_lock
"""
ADVISORY_LOCK_FUNCTIONS = frozenset(_ADVISORY_LOCKS.split())

_COMMON = """
    avg count max min sum
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
    abs acos any_value asin atan atan2 bit_and bit_or bit_xor cast ceil ceiling coalesce concat concat_ws cos cot
    date degrees exp floor json_array json_object length like ln log lower lpad ltrim md5 mod nullif octet_length pi
    power radians repeat replace reverse round rpad rtrim sha1 sha224 sha256 sha384 sha512 sign sin sqrt stddev_pop
    stddev_samp substr substring tan time trim upper uuidv4 uuidv7 var_pop var_samp
"""
_POSTGRESQL = """
    ascii char_length character_length chr extract greatest initcap json json_query json_value least left log10
    now position pow random regexp_instr regexp_replace regexp_substr right string_agg timestamp translate version
    array_agg bit_length bool_and bool_or corr covar_pop covar_samp every grouping json_agg json_object_agg jsonb_agg
    jsonb_object_agg mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev variance xmlagg json_arrayagg json_objectagg
    cube rollup
    age clock_timestamp date_bin date_part date_trunc isfinite justify_days justify_hours justify_interval make_date
    make_interval make_time make_timestamp make_timestamptz statement_timestamp timeofday timezone timetz timestamptz
    to_char to_date to_number to_timestamp transaction_timestamp current_time current_timestamp localtime
    localtimestamp
    bpchar btrim convert_from convert_to decode encode format gen_random_uuid like_escape normalize overlay
    parse_ident quote_ident quote_literal quote_nullable regexp_count regexp_like regexp_match regexp_matches
    regexp_split_to_array regexp_split_to_table set_byte split_part starts_with string_to_array string_to_table strpos
    to_hex unistr varbit
    acosd acosh asind asinh atand atan2d atanh cbrt cosd cosh cotd div factorial gcd lcm min_scale random_normal scale
    setseed sind sinh tand tanh trim_scale trunc width_bucket
    array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
    array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_string
    array_upper cardinality generate_series generate_subscripts trim_array unnest
    isempty lower_inc lower_inf multirange range_merge upper_inc upper_inf int4range int8range numrange daterange
    tsrange tstzrange int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange
    array_to_json json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
    json_each json_each_text json_exists json_extract_path json_extract_path_text json_object_keys json_populate_record
    json_populate_recordset json_scalar json_serialize json_strip_nulls json_table json_to_record json_to_recordset
    json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_concat jsonb_contains jsonb_delete jsonb_each jsonb_each_text jsonb_exists jsonb_extract_path
    jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys jsonb_path_exists jsonb_path_match
    jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_populate_record jsonb_populate_recordset
    jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json
    to_json to_jsonb
    akeys avals digest hmac hstore similarity strict_word_similarity unaccent word_similarity
    json_to_tsvector jsonb_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery
    to_tsvector ts_debug ts_delete ts_filter ts_headline ts_lexize ts_rank ts_rank_cd tsquery_phrase tsvector_to_array
    websearch_to_tsquery
    abbrev broadcast family host hostmask inet_merge masklen netmask network
    col_description current_database current_query current_schema current_schemas current_setting currval
    format_type has_column_privilege has_database_privilege has_function_privilege has_schema_privilege
    has_sequence_privilege has_table_privilege inet_client_addr inet_server_addr inet_server_port lastval num_nonnulls
    num_nulls obj_description set_config to_regclass to_regtype
    pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared pg_backend_pid pg_blocking_pids
    pg_collation_for pg_column_size pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn
    pg_current_xact_id_if_assigned pg_database_size pg_encoding_to_char pg_get_constraintdef pg_get_expr
    pg_get_functiondef pg_get_indexdef pg_get_serial_sequence pg_get_userbyid pg_get_viewdef pg_indexes_size
    pg_is_in_recovery pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lsn
    pg_postmaster_start_time pg_relation_size pg_size_bytes pg_size_pretty pg_sleep pg_sleep_for pg_sleep_until
    pg_table_is_visible pg_table_size pg_total_relation_size pg_typeof pg_wal_lsn_diff txid_current_if_assigned
    columns operator treat xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
    xmlserialize xmltable
"""
_MYSQL = """
    ascii char char_length character_length extract greatest group_concat hex if ifnull instr json_extract json_type
    json_valid json_value least left log10 log2 now position pow quote rand regexp_instr regexp_replace regexp_substr
    right timestamp timestampdiff unhex user uuid version
    bit_count grouping json_arrayagg json_objectagg std stddev variance
    adddate addtime convert_tz curdate current_date current_time current_timestamp curtime date_add date_format
    date_sub datediff day dayname dayofmonth dayofweek dayofyear from_days from_unixtime get_format hour last_day
    localtime localtimestamp makedate maketime microsecond minute month monthname period_add period_diff quarter
    sec_to_time second str_to_date subdate subtime sysdate time_format time_to_sec timediff timestampadd to_days
    to_seconds unix_timestamp utc_date utc_time utc_timestamp week weekday weekofyear year yearweek
    bin binary bit_length charset coercibility collation convert elt export_set field find_in_set format from_base64
    insert interval isnull lcase load_file locate make_set mid oct ord regexp_like soundex space strcmp
    substring_index to_base64 truncate ucase values weight_string
    aes_decrypt aes_encrypt bin_to_uuid compress conv crc32 default format_bytes format_pico_time inet6_aton inet6_ntoa
    inet_aton inet_ntoa is_ipv4 is_ipv6 is_uuid random_bytes sha sha2 statement_digest uncompress uncompressed_length
    uuid_short uuid_to_bin
    json_array_append json_array_insert json_contains json_contains_path json_depth json_insert json_keys json_length
    json_merge json_merge_patch json_merge_preserve json_overlaps json_pretty json_query json_quote json_remove
    json_replace json_schema_valid json_search json_set json_storage_free json_storage_size json_table json_unquote
    json_compact json_detailed json_equals json_exists json_loose json_normalize
    benchmark connection_id current_role current_user database found_rows gtid_subset gtid_subtract is_free_lock
    is_used_lock last_insert_id lastval name_const ps_current_thread_id ps_thread_id release_all_locks release_lock
    row_count schema session_user sleep system_user
    bit columns datetime decimal double float nchar numeric varbinary varchar
"""
# The beginnings of the names of MySQL's functions about shapes.
READ_ONLY_PREFIXES = {"mysql": ("st_", "mbr")}

_SQLITE = """
    char group_concat hex ifnull iif instr json json_extract json_type json_valid log10 log2 pow random strftime
    string_agg total unhex
    bitxor rand
    changes format glob julianday last_insert_rowid likelihood likely printf quote randomblob regexp
    sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version timediff
    total_changes trunc typeof unicode unistr unixepoch unlikely zeroblob datetime
    acosh asinh atanh cosh sinh tanh
    generate_series json_array_length json_each json_error_position json_group_array json_group_object json_insert
    json_patch json_pretty json_quote json_remove json_replace json_set json_tree jsonb jsonb_array jsonb_extract
    jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set
    pragma_table_info pragma_table_xinfo pragma_table_list pragma_index_list pragma_index_info pragma_index_xinfo
    pragma_foreign_key_list pragma_foreign_key_check
    django_date_extract django_date_trunc django_datetime_cast_date django_datetime_cast_time django_datetime_extract
    django_datetime_trunc django_format_dtdelta django_time_diff django_time_extract django_time_trunc
    django_timestamp_diff
"""
READ_ONLY_FUNCTIONS = {
    vendor: frozenset(_COMMON.split()) | frozenset(names.split()) | ADVISORY_LOCK_FUNCTIONS
    for vendor, names in {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "sqlite": _SQLITE}.items()
}

# Before a parenthesis, and not quoted, these words belong to the language.
_SYNTAX = """
    all and as between case distinct else except exists from group having in intersect into join like limit not on or
    select table then union using values when where with
"""
SYNTAX = {
    vendor: frozenset((_SYNTAX + more).upper().split())
    for vendor, more in {
        "postgresql": """
            analyze any array fetch for ilike lateral offset only overlaps returning row some symmetric to
            bit char character dec decimal float interval nchar numeric time timestamp varchar
            """,
        "mysql": """
            analyze any binary by div for force index interval key keys lateral match of offset over partition regexp
            rlike row some straight_join to xor
            """,
        "sqlite": "is offset to",
    }.items()
}
# Words that belong to the language only after one of these words or marks. Elsewhere they may name a function.
SYNTAX_AFTER = {
    "AGAINST": {")"},
    "BERNOULLI": {"TABLESAMPLE"},
    "BY": {"ORDER", "GROUP", "PARTITION"},
    "FILTER": {")"},
    "FIRST": {"FETCH"},
    "MATERIALIZED": {"NOT"},
    "NEXT": {"FETCH"},
    "OVER": {")"},
    "REPEATABLE": {")"},
    "SETS": {"GROUPING"},
    "SYSTEM": {"TABLESAMPLE"},
    "VARYING": {"BIT", "CHAR", "CHARACTER", "NCHAR"},
    "ZONE": {"TIME"},
}
# The words of both tables that may also name a function. The server's catalog tells whether a database has one.
SYNTAX_OR_FUNCTION = {
    "postgresql": frozenset({"LIKE", "ILIKE", "JOIN", "OVERLAPS", *SYNTAX_AFTER}),
    "mysql": frozenset({"ANY", "SOME", "OFFSET", *SYNTAX_AFTER}),
    "sqlite": frozenset(),
}
