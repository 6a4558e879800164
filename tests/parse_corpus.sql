SELECT 1/3*3, 2*3%4, (2*3)%4, 2*(3%4), 10-(3-2), 10/(5/2), 2^3^2, 2**3**2, (-2)^2, -2^2, -2**2
SELECT a IS DISTINCT FROM b, a IS NOT DISTINCT FROM b FROM (VALUES (1,NULL),(NULL,NULL),(1,1)) v(a,b)
SELECT 5 & 3, 5 | 3, xor(5,3), ~5, 1 << 3, 16 >> 2, 5 & 3 | 8
SELECT '{"a": {"b": [1,2]}}'::JSON -> 'a' -> 'b' ->> 0, '{"a":1}'::JSON ->> '$.a', '{"a":1}' -> '/a'
SELECT json_extract('{"a":[1,2]}', '$.a[0]'), json_extract('{"a":[1,2,3]}', '$.a[#-1]'), json_extract('{"a.b":1}', '$."a.b"'), json_extract('{"a":[{"x":1},{"x":2}]}', '$.a[*].x')
SELECT '{"a":[1,2,3]}'::JSON -> '$.a[#-1]', '{"a.b":1}'::JSON -> 'a.b', '{"duck.goose":[1]}'::JSON->'$."duck.goose"[0]'
SELECT [1,2,3,4][2:3], [1,2,3,4][:2], [1,2,3,4][3:], [1,2,3,4][-1], [1,2,3,4][1], [1,2,3,4][0], [1,2,3,4][:], [1,2,3,4,5,6][1:5:2], [1,2,3,4][:-:2], 'hello'[2], 'hello'[2:3], 'hello'[-2:]
SELECT {'a': 1, 'b': {'c': [1,2]}}.b.c[1], {'a': 1}['a'], struct_pack(x := 1, y := 'z'), row(1, 'a'), (1, 'a'), {a: 1, "B c": 2}
SELECT MAP {'a': 1, 'b': 2}['a'], MAP([1,2],['x','y']), map_keys(MAP {'k': 1}), MAP {}, MAP {1: 2}[1], element_at(MAP {'a':1}, 'a')
SELECT TRY_CAST(-1 AS UINTEGER), 1::HUGEINT, 1::UHUGEINT, 1::UTINYINT, 1::USMALLINT, 1::UBIGINT, 1::TINYINT, 1::SMALLINT, 1::FLOAT, 1::REAL, 1::DOUBLE, 1::FLOAT4, 1::FLOAT8, 1::INT1, 1::INT2, 1::INT4, 1::INT8, 1::LONG, 1::SHORT, 1::SIGNED, 1::NUMERIC, 1::DECIMAL, 1::DEC(4,1), 1::INTEGER, 1::INTEGRAL
SELECT 'a'::CHAR, 'abc'::CHAR(2), 'abc'::VARCHAR(2), 'abc'::TEXT, 'abc'::STRING, 'abc'::BPCHAR, 'a'::BLOB, 'a'::BYTEA, 'a'::BINARY, 'a'::VARBINARY, '101'::BIT, '101'::BITSTRING, true::BOOL, true::LOGICAL, true::BOOLEAN
SELECT 'b7c5b4a2-0000-0000-0000-000000000001'::UUID, '[1,2]'::INT[], [1,2]::DOUBLE[], [1,2,3]::INT[3], {'a':1}::STRUCT(a BIGINT), MAP {'a':1}::MAP(VARCHAR, BIGINT), 'x'::ENUM('x','y'), 1::UNION(num INT, str VARCHAR), [[1]]::INT[][]
SELECT DATE '2020-01-31' + INTERVAL 1 MONTH, DATE '2020-01-31' - 1, DATE '2020-02-01' - DATE '2020-01-01', TIMESTAMP '2020-01-01' - INTERVAL '1 hour', DATE '2020-01-01' + TIME '10:00'
SELECT date_diff('month', DATE '2020-01-31', DATE '2020-02-01'), datediff('week', DATE '2020-01-01', DATE '2020-02-01'), date_sub('month', DATE '2020-01-31', DATE '2020-02-01'), date_add(DATE '2020-01-01', INTERVAL 1 DAY), date_trunc('month', DATE '2020-01-31'), date_trunc('day', TIMESTAMP '2020-01-31 10:00'), date_part('year', DATE '2020-01-31'), date_part(['year','month'], DATE '2020-01-31')
SELECT EXTRACT(year FROM DATE '2020-01-31'), EXTRACT('dow' FROM DATE '2020-01-31'), EXTRACT(epoch FROM TIMESTAMP '2020-01-31'), extract(isodow from date '2020-01-31'), extract(week from date '2020-01-31'), extract(dayofweek from date '2020-01-31'), extract(millisecond from timestamp '2020-01-01 00:00:01.5')
SELECT regexp_matches('abc', 'b'), regexp_full_match('abc', 'b'), regexp_replace('abcb', 'b', 'x'), regexp_replace('abcb', 'b', 'x', 'g'), regexp_extract('abc', 'a(b)(c)', 1), regexp_extract('abc', 'a(b)(c)', ['x','y']), regexp_extract_all('abab', 'a(b)', 1), regexp_split_to_array('a1b2c', '[0-9]'), 'abc' ~ 'b', 'abc' !~ 'b', 'abc' SIMILAR TO 'a.c', 'abc' NOT SIMILAR TO 'a.c', regexp_matches('ABC', 'b', 'i')
SELECT 'abc' LIKE 'a%', 'abc' NOT LIKE 'a%', 'ABC' ILIKE 'a%', 'a%c' LIKE 'a$%c' ESCAPE '$', 'abc' GLOB 'a*', 'abc' ~~ 'a%', 'abc' !~~ 'a%', 'abc' ~~* 'A%', 'ABC' NOT ILIKE 'a%', 'abc' ^@ 'ab', starts_with('abc','ab'), 'a\b' LIKE 'a\b', 'a_c' LIKE 'a\_c' ESCAPE '\'
SELECT list_sort([3,1,NULL,2]), list_sort([3,1,NULL,2],'DESC'), list_sort([3,1,NULL,2],'ASC','NULLS FIRST'), list_reverse_sort([3,1,NULL,2]), array_sort([3,1,2]), list_distinct([1,1,2]), list_contains([1,2],1), list_has_any([1,2],[2]), list_has_all([1,2],[2]), [1,2] && [2], [1,2] @> [1], [1] <@ [1,2], list_concat([1],[2]), [1] || [2], list_append([1],2), list_prepend(1,[2]), list_position([1,2],2), list_slice([1,2,3],1,2), flatten([[1],[2]]), list_zip([1],[2]), array_length([1,2]), len([1]), list_aggregate([1,2],'sum'), list_sum([1,2]), list_min([1,2]), list_max([1,2]), list_unique([1,1]), array_agg(1), list_value(1,2), generate_series(1,3), range(3), range(1,10,3), list_cosine_similarity([1.0,2.0],[2.0,3.0]), array_distance([1.0,2.0]::FLOAT[2],[2.0,3.0]::FLOAT[2])
SELECT UNNEST([1,2,3]) AS a, UNNEST([{'x':1},{'x':2},{'x':3}], recursive := true)
SELECT * FROM UNNEST([1,2,3]) t(x)
SELECT * FROM UNNEST([1,2,3]) WITH ORDINALITY AS t(x, i)
SELECT t.a, u.x FROM (SELECT 1 a, [1,2] l) t, UNNEST(t.l) u(x)
SELECT t.a, x FROM (SELECT 1 a, [1,2] l) t CROSS JOIN LATERAL (SELECT UNNEST(t.l) AS x)
SELECT * FROM (SELECT 1 a, [1,2] l) t LEFT JOIN LATERAL UNNEST(t.l) AS u(x) ON true
SELECT * FROM range(3), generate_series(1,2) g(x)
SELECT * FROM range(3) AS t(i) WHERE i % 2 = 0
SELECT * FROM range(DATE '2020-01-01', DATE '2020-01-03', INTERVAL 1 DAY) t(d)
SELECT * FROM a ASOF JOIN b ON a.k = b.k AND a.t >= b.t ORDER BY ALL
SELECT * FROM a ASOF LEFT JOIN b USING (k, t) ORDER BY ALL
SELECT * FROM a POSITIONAL JOIN b ORDER BY ALL
SELECT * FROM a SEMI JOIN b USING (k) ORDER BY ALL
SELECT * FROM a ANTI JOIN b USING (k) ORDER BY ALL
SELECT * FROM a NATURAL JOIN b ORDER BY ALL
SELECT * FROM a LEFT OUTER JOIN b USING (k) ORDER BY ALL
SELECT * FROM a FULL JOIN b ON a.k = b.k ORDER BY ALL
SELECT * FROM a RIGHT JOIN b ON a.k = b.k ORDER BY ALL
SELECT * FROM a CROSS JOIN b ORDER BY ALL
SELECT * FROM a, b WHERE a.k = b.k ORDER BY ALL
SELECT * FROM (a JOIN b USING (k)) JOIN a AS c USING (k) ORDER BY ALL
SELECT * FROM a JOIN (b JOIN a AS c ON b.k = c.k) ON a.k = b.k ORDER BY ALL
SELECT k, sum(v) FROM a GROUP BY ALL ORDER BY ALL
SELECT k, sum(v) FROM a GROUP BY k HAVING sum(v) > 1 ORDER BY ALL DESC NULLS FIRST
SELECT k, t, sum(v) FROM a GROUP BY ROLLUP(k, t) ORDER BY ALL
SELECT k, t, sum(v) FROM a GROUP BY CUBE(k, t) ORDER BY ALL
SELECT k, t, sum(v), grouping(k, t), grouping_id(k) FROM a GROUP BY GROUPING SETS ((k), (t), (k,t), ()) ORDER BY ALL
SELECT k, t, sum(v) FROM a GROUP BY k, ROLLUP(t) ORDER BY ALL
SELECT k FROM a ORDER BY k DESC
SELECT v FROM a ORDER BY v
SELECT v FROM a ORDER BY v DESC
SELECT v FROM a ORDER BY v NULLS FIRST
SELECT v FROM a ORDER BY v DESC NULLS LAST LIMIT 2 OFFSET 1
SELECT v FROM a ORDER BY 1 LIMIT 50%
SELECT v FROM a ORDER BY 1 FETCH FIRST 2 ROWS ONLY
SELECT v FROM a ORDER BY v OFFSET 1
SELECT DISTINCT k FROM a ORDER BY k
SELECT DISTINCT ON (k) k, v FROM a ORDER BY k, v
SELECT * EXCLUDE (v) FROM a ORDER BY ALL
SELECT * EXCLUDE v FROM a ORDER BY ALL
SELECT * REPLACE (v + 1 AS v) FROM a ORDER BY ALL
SELECT * RENAME (v AS w) FROM a ORDER BY ALL
SELECT a.* EXCLUDE (v) REPLACE (k || 'x' AS k) FROM a ORDER BY ALL
SELECT * LIKE 'k%' FROM a ORDER BY ALL
SELECT * NOT LIKE 'k%' FROM a ORDER BY ALL
SELECT * SIMILAR TO 'k.*' FROM a ORDER BY ALL
SELECT COLUMNS(*) FROM a ORDER BY ALL
SELECT COLUMNS('k|v') FROM a ORDER BY ALL
SELECT COLUMNS(lambda c : c LIKE 'k%') FROM a ORDER BY ALL
SELECT COLUMNS(['k','v']) FROM a ORDER BY ALL
SELECT COLUMNS(* EXCLUDE (k)) FROM a ORDER BY ALL
SELECT min(COLUMNS(*)), max(COLUMNS(* EXCLUDE (k))) FROM a
SELECT COLUMNS('(k)') AS 'x_\1' FROM a ORDER BY ALL
SELECT coalesce(*COLUMNS(*)) FROM (SELECT NULL::INT x, 2 y)
SELECT coalesce(*COLUMNS('x|y')) FROM (SELECT NULL::INT x, 2 y)
SELECT struct_pack(*COLUMNS(*)) FROM (SELECT NULL::INT x, 2 y)
SELECT a FROM a ORDER BY ALL
SELECT a.k, struct_extract(a, 'v') FROM a ORDER BY ALL
SELECT b: 1, c: 'x'
FROM a SELECT k ORDER BY k
FROM a ORDER BY ALL
FROM a WHERE v > 1 ORDER BY ALL
FROM (FROM a SELECT k) ORDER BY ALL
TABLE a ORDER BY ALL
VALUES (1,'a'),(2,'b')
SELECT * FROM (VALUES (1,'a'),(2,'b')) t(x, y) ORDER BY ALL
SELECT (VALUES (1))
SELECT * FROM (VALUES (1,2)) 
WITH x AS (SELECT 1 a), y(b) AS (SELECT a + 1 FROM x) SELECT * FROM x, y
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n < 5) SELECT * FROM r ORDER BY n
WITH x AS MATERIALIZED (SELECT 1 a) SELECT * FROM x
WITH x AS NOT MATERIALIZED (SELECT 1 a) SELECT * FROM x
WITH RECURSIVE r(a,b) USING KEY (a) AS (SELECT 1, 1 UNION SELECT a, b+1 FROM r WHERE b < 3) SELECT * FROM r
SELECT * FROM a UNION SELECT * FROM b ORDER BY ALL
SELECT k FROM a UNION ALL SELECT k FROM b ORDER BY ALL
SELECT * FROM a UNION BY NAME SELECT * FROM b ORDER BY ALL
SELECT * FROM a UNION ALL BY NAME SELECT * FROM b ORDER BY ALL
SELECT k FROM a EXCEPT SELECT k FROM b ORDER BY ALL
SELECT k FROM a EXCEPT ALL SELECT k FROM b ORDER BY ALL
SELECT k FROM a INTERSECT SELECT k FROM b ORDER BY ALL
SELECT k FROM a INTERSECT ALL SELECT k FROM b ORDER BY ALL
(SELECT k FROM a ORDER BY k LIMIT 1) UNION ALL (SELECT k FROM b ORDER BY k LIMIT 1)
SELECT 1 UNION SELECT 2 INTERSECT SELECT 2 ORDER BY 1
SELECT 1 EXCEPT SELECT 1 UNION SELECT 3
SELECT 1 EXCEPT (SELECT 1 UNION SELECT 3)
PIVOT a ON k USING sum(v) ORDER BY ALL
PIVOT a ON k IN ('x','y') USING sum(v) AS s, count(*) AS c GROUP BY t ORDER BY ALL
SELECT * FROM (PIVOT a ON k USING sum(v) GROUP BY t) ORDER BY ALL
SELECT * FROM a PIVOT (sum(v) FOR k IN ('x','y') GROUP BY t) ORDER BY ALL
UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b INTO NAME n VALUE val ORDER BY ALL
UNPIVOT (SELECT 1 AS a, 2 AS b) ON COLUMNS(*) INTO NAME n VALUE val ORDER BY ALL
SELECT * FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (val FOR n IN (a, b)) ORDER BY ALL
SELECT * FROM (SELECT 1 AS a, NULL::INT AS b) UNPIVOT INCLUDE NULLS (val FOR n IN (a, b)) ORDER BY ALL
SELECT k, row_number() OVER (PARTITION BY k ORDER BY v) AS r, sum(v) OVER w, lag(v, 1, 0) OVER w, first_value(v IGNORE NULLS) OVER w FROM a WINDOW w AS (PARTITION BY k ORDER BY v) ORDER BY ALL
SELECT k, v, sum(v) OVER (ORDER BY v ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) s, avg(v) OVER (ORDER BY v RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) m FROM a ORDER BY ALL
SELECT k, sum(v) OVER (ORDER BY v GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) FROM a ORDER BY ALL
SELECT k, v, lead(v ORDER BY t) OVER (PARTITION BY k) FROM a ORDER BY ALL
SELECT k, v FROM a QUALIFY row_number() OVER (PARTITION BY k ORDER BY v DESC) = 1 ORDER BY ALL
SELECT k, nth_value(v, 2) OVER (PARTITION BY k ORDER BY v), ntile(2) OVER (ORDER BY v), cume_dist() OVER (ORDER BY v) FROM a ORDER BY ALL
SELECT count(*), count(v), count(DISTINCT k), sum(DISTINCT v), count(*) FILTER (WHERE v > 1), count() FROM a
SELECT string_agg(k, ',' ORDER BY k), string_agg(DISTINCT k, '-' ORDER BY k), group_concat(k, ';' ORDER BY k DESC), listagg(k, ',' ORDER BY k), list(v ORDER BY v DESC), array_agg(v ORDER BY v NULLS FIRST), list(DISTINCT k ORDER BY k) FROM a
SELECT quantile(v, 0.5), quantile_cont(v, 0.5), quantile_disc(v, [0.25, 0.75]), median(v), approx_quantile(v, 0.5) > 0, mode(k ORDER BY k), arg_max(k, v), arg_min(k, v, 2), max(v, 2), min(v, 1), any_value(v ORDER BY v), first(v ORDER BY v), last(v ORDER BY v), max_by(k, v), bool_and(v > 0), bit_xor(v), histogram(k), entropy(k), kurtosis(v), skewness(v), corr(v, t), covar_pop(v, t), regr_slope(v, t), stddev(v), var_pop(v), product(v), favg(v), fsum(v), approx_count_distinct(k) FROM a
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v), percentile_disc(0.5) WITHIN GROUP (ORDER BY v DESC), mode() WITHIN GROUP (ORDER BY k) FROM a
SELECT sum(v) FILTER (v > 1) FROM a
SELECT 'it''s', E'a\nb\t\\c\'d', $$dollar 'quoted'$$, $tag$x $$ y$tag$, '\n', 'a\\b', '', ' ', 'ü€😀', E'\x41', E'\u00e9', E'\101'
SELECT 1_000, 1e3, 1.5e-3, .5, 5., 1_0.5, 123456789012345678901234567890, 170141183460469231731687303715884105728, 1.2345678901234567890123, 1E2
SELECT x'41', '\x41'::BLOB, '\xAA\xAB'::BLOB, X'AABB'
SELECT NOT true AND false, NOT (true AND false), NOT 1 = 2, NOT a.v IN (1) FROM a ORDER BY ALL
SELECT 1 IN (1,2), 1 NOT IN (1,2), 1 IN (SELECT v FROM a), 1 IN [1,2], (1,2) IN ((1,2)), 3 IN (1), 'k' IN ('k'), NULL IN (1), 1 IN (NULL)
SELECT EXISTS (SELECT 1), NOT EXISTS (FROM a WHERE v > 100), 2 = ANY (SELECT v FROM a), 2 > ALL (SELECT v FROM a WHERE v IS NOT NULL), 2 = ANY ([1,2]), 2 = SOME (SELECT 2)
SELECT CASE v WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'x' END, CASE WHEN v > 1 THEN 1 END, if(v > 1, 'a', 'b'), nullif(v, 1), coalesce(v, 0), ifnull(v, 0), greatest(v, 2), least(v, 2) FROM a ORDER BY ALL
SELECT v IS NULL, v IS NOT NULL, v ISNULL, v NOTNULL, (v > 1) IS TRUE, (v > 1) IS NOT FALSE, (v>1) IS UNKNOWN FROM a ORDER BY ALL
SELECT 'a' || 'b' || NULL, concat('a', NULL, 'b'), concat_ws('-', 'a', NULL, 'b'), 'a' || 1, 1 || 'a'
SELECT k, v FROM a USING SAMPLE 100 PERCENT (bernoulli) ORDER BY ALL
SELECT count(*) FROM range(1000) USING SAMPLE reservoir(10 ROWS) REPEATABLE (42)
SELECT count(*) FROM range(1000) t(i) TABLESAMPLE reservoir(10 ROWS)
SELECT count(*) FROM range(1000) t(i) USING SAMPLE 10
SELECT count(*) FROM (SELECT * FROM range(1000) USING SAMPLE 10 ROWS)
SELECT count(*) FROM a TABLESAMPLE 100%
SELECT count(*) FROM range(1000) t(i) TABLESAMPLE 10 ROWS
SELECT k AS group_, v val FROM a AS "T b" ORDER BY "T b".v
SELECT lower(k) k2, k2 || 'x' FROM a ORDER BY ALL
SELECT v AS x FROM a WHERE x > 1 GROUP BY x HAVING x > 1 ORDER BY x
SELECT try(1/0), TRY(CAST('a' AS INT))
SELECT typeof(1), typeof(1.0), typeof('a'), typeof([1]), typeof(NULL), typeof({'a':1}), typeof(1::TINYINT+1::TINYINT), typeof(7/2), typeof(7//2), typeof(1.0::FLOAT*1), typeof(sum(1)), typeof(avg(1)), typeof(count(*))
SELECT 'hello' COLLATE NOCASE = 'HELLO'
SELECT k FROM a ORDER BY k COLLATE NOCASE DESC
SELECT (SELECT max(v) FROM a), (SELECT max(v) FROM b WHERE b.k = a.k) FROM a ORDER BY ALL
SELECT * FROM a WHERE (k, v) = ('x', 1) OR (k, v) IN (SELECT k, v FROM b) ORDER BY ALL
SELECT * FROM a t1, LATERAL (SELECT t1.v + 1 AS w) t2 ORDER BY ALL
SELECT array_slice([1,2,3], 1, 2), array_slice('hello', 2, 3), list_slice([1,2,3,4], 1, 4, 2)
SELECT struct_extract({'a':1},'a'), struct_insert({'a':1}, b := 2), {'a':1}.a, ({'a': {'b': 2}}).a.b, s.a, s['a'], s.* FROM (SELECT {'a': 5} AS s)
SELECT union_value(k := 1), union_tag(union_value(k := 1)), union_value(k := 1).k
SELECT today() = current_date, now() = current_timestamp, current_date IS NULL, current_timestamp IS NULL, localtimestamp IS NULL, localtime IS NULL, current_time IS NULL, get_current_timestamp() IS NULL
SELECT isfinite(TIMESTAMP 'infinity'), DATE 'epoch', TIMESTAMP 'epoch', '-infinity'::TIMESTAMP
SELECT 1::INT AS a, 2 AS b WHERE false
SELECT k, count(*) c FROM a GROUP BY 1 ORDER BY 2 DESC, 1
SELECT #1, #2 FROM a ORDER BY ALL
SELECT a.v + b.v AS "sum", -a.v, +a.v, - - a.v, -(-a.v) FROM a JOIN b USING (k) ORDER BY ALL
SELECT 3 - -2, 3--2
SELECT 1 + 2 * 3 - 4 / 2, (1 + 2) * 3, 2 * -3, -2 - -3, 1 - (2 + 3), 1 - (2 - 3), 8 / (4 / 2), 8 / (4 * 2), 2 * (8 / 4)
SELECT 1 IS NULL = false, (1 = 1) = (2 = 2), 1 + 1 IN (2), NOT NOT true, NOT (1 IS NULL), (NULL IS NULL) AND true
SELECT 'a' = 'a' COLLATE NOCASE, 'a' < 'b' AND 'b' < 'c', 1 < 2 AND NOT 2 < 1
SELECT 'abc' LIKE 'a' || '%', 'a' || 'b' = 'ab', 1 + 1 || 'x', 5 > 3 AND 2 > 1 OR false
SELECT (1, 2) < (1, 3), [1,2] < [1,3], row(1,2) = row(1,2)
SELECT v::VARCHAR || 'x', -v::DOUBLE, (-v)::DOUBLE, v::INT::VARCHAR, (v + 1)::VARCHAR, v + 1::BIGINT, NOT v::BOOL FROM a ORDER BY ALL
SELECT 2 - 1::DOUBLE / 2, (1::DOUBLE)/2, 1/2::DOUBLE
SELECT [1,2,3][1] + 1, [[1,2],[3]][1][2], -[1,2][1], {'a': [1,2]}.a[2], 'abc'[1] || 'x', (MAP {'a': [1,2]})['a'][1]
SELECT date '2020-01-01' + 1, date '2020-01-01' < '2020-02-01', '2020-01-01' = date '2020-01-01', timestamp '2020-01-01 00:00:00.123456'
SELECT ALL k FROM a ORDER BY ALL
SELECT max(v) AS max, min(v) min, sum(v) sum FROM a
SELECT count(*) AS count, date '2020-01-01' AS date, 'x' AS text, 1 AS value, 2 AS name, 3 AS type, 4 AS year, 5 AS month, 6 AS key
SELECT year, month, key, value, name, type, text, date FROM (SELECT 1 AS year, 2 AS month, 3 AS key, 4 AS value, 5 AS name, 6 AS type, 7 AS text, 8 AS date)
SELECT t.year, t.index, t.offset, t.first, t.last, t.comment, t.level, t.map, t.list, t.row_, t.schema, t.database FROM (SELECT 1 AS year, 2 AS index, 3 AS "offset", 4 AS first, 5 AS last, 6 AS comment, 7 AS level, 8 AS "map", 9 as list, 10 as row_, 11 as schema, 12 as database) t
SELECT time, timestamp, interval, position, values, format, model, version, input, output, class FROM (SELECT 1 AS "time", 2 AS "timestamp", 3 AS "interval", 4 AS "position", 5 AS "values", 6 AS format, 7 AS model, 8 AS version, 9 AS input, 10 AS output, 11 AS class)
SELECT approx_top_k(k, 1), histogram(v, [1,2]) FROM a
SELECT equi_width_bins(0, 10, 2, true)
SELECT array_value(1,2), [1,2]::INT[2], array_cross_product(array_value(1.0::FLOAT,2.0,3.0), array_value(1.0::FLOAT,2.0,3.0))
SELECT unnest({'a': 1, 'b': 2})
SELECT unnest([[1,2],[3]], max_depth := 2)
SELECT * FROM (SELECT unnest(generate_series(1,3)) AS g) WHERE g > 1 ORDER BY ALL
SELECT x FROM (SELECT [1,2,3] l) CROSS JOIN unnest(l) AS u(x)
SELECT repeat('ab', 2), * FROM repeat('x', 2)
SELECT k FROM a WHERE v > 1 AND k NOT IN (SELECT k FROM b WHERE k IS NOT NULL) OR v IS NULL ORDER BY ALL
SELECT sum(CASE WHEN v > 1 THEN 1 ELSE 0 END)::BIGINT, sum(v) / count(*), avg(v)::DECIMAL(10,2) FROM a
SELECT DISTINCT k, v FROM a ORDER BY ALL LIMIT 2
SELECT * FROM a WHERE k = 'x' LIMIT (SELECT 1)
SELECT k, v FROM a ORDER BY CASE WHEN v IS NULL THEN 0 ELSE v END, k
SELECT min(k) OVER () FROM a ORDER BY ALL
SELECT sum(sum(v)) OVER (ORDER BY k) FROM a GROUP BY k ORDER BY ALL
SELECT count(*) FILTER (WHERE v > 1) OVER (PARTITION BY k) FROM a ORDER BY ALL
SELECT sum(DISTINCT v) OVER (PARTITION BY k), count(DISTINCT v ORDER BY v) FILTER (WHERE v > 0) OVER () FROM a ORDER BY ALL
SELECT last_value(v RESPECT NULLS) OVER (ORDER BY v), last_value(v IGNORE NULLS) OVER (ORDER BY v) FROM a ORDER BY ALL
SELECT struct_pack(a := 1).a, {'a': NULL}, [NULL, 1], [], MAP {'x': NULL}
SELECT ['a', 'b'] AS l, [] || [1], NULL::INT[], ARRAY[1,2], ARRAY[[1],[2]], ARRAY(SELECT v FROM a ORDER BY v)
SELECT (SELECT list(v ORDER BY v) FROM a)[1]
SELECT 1 WHERE 1 = 1 AND 'a' BETWEEN 'a' AND 'b'
SELECT cast('1' AS INTEGER), cast(1.6 AS INT), 1.6::INT, cast('t' AS BOOL), cast(1 AS VARCHAR(3)), cast([1] AS VARCHAR)
SELECT unicode('a'), char_length('x'), CHAR_LENGTH('yy'), CONVERT_TZ IS NULL FROM (SELECT 1 AS CONVERT_TZ)
SELECT date_part('epoch', TIMESTAMP '2020-01-01'), datepart('day', DATE '2020-01-02'), year(DATE '2020-01-01'), month(DATE '2020-01-01'), day(DATE '2020-01-01'), hour(TIMESTAMP '2020-01-01 10:00'), quarter(DATE '2020-01-01'), dayofweek(DATE '2020-01-05'), isodow(DATE '2020-01-05'), dayofyear(DATE '2020-01-05'), week(DATE '2020-01-05'), yearweek(DATE '2020-01-05'), age(DATE '2020-01-01', DATE '2019-01-01'), to_days(3), to_months(2), century(DATE '2020-01-01'), julian(DATE '2020-01-01'), time_bucket(INTERVAL '1 week', DATE '2020-01-05'), datesub('day', DATE '2020-01-01', DATE '2020-01-05'), datetrunc('week', DATE '2020-01-05')
SELECT a.k FROM a JOIN b ON a.k = b.k AND a.v < b.v OR a.v IS NULL ORDER BY ALL
SELECT * FROM a AS x(kk, vv, tt) ORDER BY ALL
SELECT * FROM (SELECT * FROM a) AS x(kk) ORDER BY ALL
SELECT grouping(k), k FROM a GROUP BY CUBE(k) ORDER BY ALL
SELECT concat(k, v) FROM a ORDER BY 1 NULLS FIRST
SELECT 1 AS x ORDER BY x ASC NULLS LAST
SELECT ROW(1,2), ROW(1), (1,), {'a': (1,2)}
SELECT v FROM a GROUP BY v ORDER BY sum(v) DESC NULLS FIRST
SELECT 'x' AS a, 'y' AS A2, "K" FROM a ORDER BY ALL
SELECT nullif(1,1), NULLIF('a','b'), current_schema() IS NOT NULL
SELECT DATE_TRUNC('quarter', DATE '2020-05-05'), DATE_TRUNC('hour', TIMESTAMP '2020-05-05 10:30')
SELECT log(8), log(2.0, 8.0), log(100), ln(10)
SELECT round(-2.5), round(3.14159, 2), round(1234, -2), roundbankers(2.5, 0), truncate_ FROM (SELECT 1 AS truncate_)
SELECT 5::DECIMAL(4,1) / 2, 5::DECIMAL(4,1) // 2, 5.0 % 3, 1::DECIMAL(38,0) + 1
SELECT 100::TINYINT + 20::TINYINT, 1::UTINYINT - 0::UTINYINT
SELECT BIT_LENGTH('a'), get_bit('101'::BIT, 0), set_bit('101'::BIT, 1, 1), '101'::BIT & '100'::BIT, '101'::BIT << 1, bitstring('1', 3), ~'101'::BIT
SELECT bit_and(v), bit_or(v) FROM a WHERE v IS NOT NULL
SELECT k || '_' || CAST(v AS VARCHAR) AS kv FROM a WHERE kv IS NOT NULL ORDER BY kv
SELECT s.x.y.z FROM (SELECT {'x': {'y': {'z': 1}}} AS s)
SELECT a.k.upper() FROM a ORDER BY ALL
SELECT [1,2,3].list_sum(), (1).abs(), k.upper().lower() FROM a ORDER BY ALL
SELECT * FROM a WHERE NOT k = 'x' AND NOT (v > 1 OR v < 0) ORDER BY ALL
SELECT ((((1))))
SELECT parse_path('a/b'), path_join IS NULL FROM (SELECT 1 path_join)
SELECT variant_typeof(1::VARIANT)
SELECT 'x'::JSON IS NULL WHERE false
SELECT * FROM a WHERE v = (SELECT max(v) FROM a x WHERE x.k = a.k) ORDER BY ALL
SELECT k, (SELECT count(*) FROM b WHERE b.k = a.k AND b.v > a.v) AS n FROM a ORDER BY ALL
SELECT -1::UTINYINT IS NULL WHERE false
SELECT ~1 + 1, ~(1 + 1), - (1 + 2), 1 << 2 + 1, (1 << 2) + 1, 1 | 2 & 3, 7 & 3 = 3
SELECT true AND NULL, NULL OR true, NULL = NULL, NOT NULL
SELECT x'41', '\x41'::BLOB, X'AABB', x''
SELECT 1
SELECT E'\xC3\xA9', E'\303\251', E'a''b', E'\\', E'\q', e'\t\r\n\b\f'
SELECT 1::INT AS "A", 7/2, -7//2, 7%3, -7%3, 7.0/2, 7.5//2, 7/0, 7.5%2
SELECT j->'a', j->>'a', (j->'a')::INT + 1, (j->>'a') = '1', (j->'a') IS NULL, j -> 'a' || 'b' FROM (SELECT '{"a":1}'::JSON AS j)
SELECT json_type(j -> 'a'), lower(j ->> 'a'), coalesce(j->>'b', 'z'), list_value((j) -> 'a', 1) FROM (SELECT '{"a":1}'::JSON AS j)
SELECT '1'::INT, CAST('2' AS BIGINT), TRY_CAST('x' AS INT), '12.345'::DECIMAL(5,2), 1::VARCHAR, '2020-01-01'::DATE, 1.5::INT, 2.5::INT
SELECT '2020-01-01 10:00:00'::TIMESTAMP, '2020-01-01 10:00:00'::DATETIME, '2020-01-01 10:00:00'::TIMESTAMP_S, '2020-01-01 10:00:00'::TIMESTAMP_MS, '2020-01-01 10:00:00'::TIMESTAMP_NS, '2020-01-01 10:00:00'::TIMESTAMP_US, '2020-01-01 10:00:00+01'::TIMESTAMPTZ::VARCHAR, '2020-01-01 10:00:00+01'::TIMESTAMP WITH TIME ZONE::VARCHAR, '10:00:00'::TIME, '10:00:00+01'::TIMETZ::VARCHAR, '10:00:00+01'::TIME WITH TIME ZONE::VARCHAR, '10:00'::TIME WITHOUT TIME ZONE, '2020-01-01'::TIMESTAMP WITHOUT TIME ZONE
SELECT INTERVAL 1 DAY, INTERVAL '1' DAY, INTERVAL '1 day', INTERVAL '1.5 days', INTERVAL '1 day 2 hours', INTERVAL (1+1) MONTH, INTERVAL '2 weeks', '3 months'::INTERVAL
SELECT INTERVAL '1.5' DAY, INTERVAL 1.5 DAY, INTERVAL '-3 days', INTERVAL (-3) DAY, INTERVAL '01:02:03', INTERVAL 2 DAYS, INTERVAL 5 MILLISECONDS, INTERVAL 5 QUARTER, INTERVAL 2 DECADES, INTERVAL 1 CENTURY
SELECT interval FROM (SELECT 1 AS interval)
SELECT strftime(DATE '2020-01-31', '%Y/%m/%d %j %U'), strptime('2020/01/31', '%Y/%m/%d'), try_strptime('2020', '%Y'), epoch(TIMESTAMP '2020-01-01'), epoch_ms(1000), epoch_ms(TIMESTAMP '2020-01-01'), to_timestamp(0)::VARCHAR, make_date(2020,1,2), make_timestamp(2020,1,2,3,4,5.6), make_timestamp(1000000), last_day(DATE '2020-02-01'), monthname(DATE '2020-02-01'), dayname(DATE '2020-02-01'), weekofyear(DATE '2020-02-01')
SELECT TIMESTAMP '2020-01-01 00:00:00' AT TIME ZONE 'Europe/Berlin' IS NULL, TIMESTAMPTZ '2020-01-01 00:00:00+00' AT TIME ZONE 'America/New_York', (timezone('UTC', TIMESTAMP '2020-01-01'))::VARCHAR
SELECT list_transform([1,2,3], lambda x : x * 2), list_filter([1,2,3], lambda x : x > 1), list_reduce([1,2,3], lambda a, b : a + b), list_transform([1,2,3], lambda x, i : x + i), [x FOR x IN [1,2,3]], [x*2 FOR x IN [1,2,3] IF x > 1], list_filter([1,2], lambda x: x > 1)
SELECT list_transform([1,2], lambda x : list_transform([10,20], lambda y : x + y)), list_reduce([1,2,3], lambda x, y : x * y, 10), list_filter([{'a':1},{'a':2}], lambda s : s.a > 1), list_transform([{'a':1}], lambda s : s['a'])
SELECT 1 = 1 AND 2 = 2 OR 3 = 4, (1 = 1 AND (2 = 2 OR 3 = 4)), 1 != 2, 1 <> 2, 1 == 1
SELECT 5 BETWEEN 1 AND 10, 5 NOT BETWEEN 1 AND 10 AND true
SELECT substring('hello', 2, 3), substring('hello' FROM 2 FOR 3), substring('hello' FROM 2), substr('hello', -3), 'hello'.upper(), ('hello').substr(2).upper(), trim('  x '), trim(BOTH 'x' FROM 'xax'), trim(LEADING 'x' FROM 'xax'), trim(TRAILING 'x' FROM 'xax'), trim('xax', 'x'), ltrim(' x'), rtrim('xa', 'a'), overlay('abcdef' PLACING 'XX' FROM 3 FOR 2), position('b' IN 'abc'), strpos('abc','b'), instr('abc','b'), left('abc',2), right('abc',2), lpad('a',3,'x'), rpad('a',3,'x'), repeat('a',3), reverse('abc'), replace('abc','b','x'), translate('abc','ab','xy'), split_part('a,b',',',2), string_split('a,b',','), str_split_regex('a1b','[0-9]'), upper('a'), lower('A'), length('abc'), strlen('ü'), char_length('abc'), ascii('a'), chr(65), unicode('a'), ord('a'), trim(FROM ' x '), trim('x' FROM 'xax')
SELECT upper('a'), md5('a'), sha256('a'), sha1('a'), hash('a') IS NOT NULL, base64('a'::BLOB), from_base64('YQ=='), hex('a'), to_hex(255), unhex('41'), bin(5), encode('a'), decode('a'::BLOB), format('{} {}', 1, 'a'), printf('%d %s', 1, 'a'), url_encode('a b'), bar(1, 0, 10), levenshtein('a','b'), jaccard('ab','bc'), jaro_winkler_similarity('ab','abc'), hamming('ab','ac')
SELECT abs(-1), ceil(1.5), ceiling(1.5), floor(1.5), round(1.55, 1), round(2.5), trunc(1.5), sign(-1), sqrt(4), cbrt(8), exp(1), ln(2), log(10), log(2, 8), log10(10), log2(8), pow(2,3), power(2,3), mod(7,3), pi(), sin(1), atan2(1,2), degrees(1), radians(1), factorial(3), gcd(4,6), lcm(4,6), even(3), isnan('nan'::DOUBLE), isinf('inf'::DOUBLE), isfinite(1.0), bit_count(5), nextafter(1.0::DOUBLE, 2.0::DOUBLE), fdiv(7,2), fmod(7.5,2)
SELECT 1 AS "select", 2 AS "a b", 3 "x""y", 4 AS end_
SELECT ifnull(NULL, 1)
SELECT json_object('a', 1, 'b', [1]), json_array(1, 'a'), to_json({'a':1}), json_group_array(k), json('{"a":1}'), json_keys('{"a":1}'), json_structure('{"a":1}'), from_json('{"a":1}', '{"a":"INT"}'), json_valid('x'), json_merge_patch('{"a":1}','{"b":2}'), json_type('1'), json_array_length('[1]'), json_contains('[1]','1'), json_exists('{"a":1}','$.a'), json_value('{"a":1}','$.a'), json_extract_string('{"a":"x"}', 'a') FROM a WHERE v IS NOT NULL
SELECT bool_or(v > 1), bool_and(v > 0) FROM a
SELECT 2 ^ -1, 2 ** -1, 4 ^ 0.5, 10 - 2 ^ 2, 2 * 3 ^ 2, (2 * 3) ^ 2, -(2 ^ 2)
SELECT {d: 1, t: 2, ts: 3}, {d: '2020-01-01'}
SELECT l[i], l[i+1], l[i:i+1], l[-i], l[i-1+1] FROM (SELECT [1,2,3] l, 2 i)
SELECT NULL IN [1], 3 IN [1,NULL], 1 IN [1], 3 NOT IN [1, 2], 1 IN (1,2) AND true, 1 IN l, 5 NOT IN l FROM (SELECT [1] l)
SELECT DISTINCT ON (k, t) k FROM a ORDER BY k, t, v
SELECT count(DISTINCT (k, v)), count(DISTINCT k || t) FROM a
SELECT sum(v ORDER BY t), array_agg(DISTINCT v ORDER BY v DESC), first(k ORDER BY v DESC NULLS LAST) FROM a
SELECT apply([1,2], lambda x : x + 1), array_transform([1], lambda x : x), filter([1,2], lambda x : x > 1), reduce([1,2], lambda x, y : x + y)
SELECT a.* FROM a WHERE a.k IN ('x', 'y') AND v BETWEEN 1 AND 2 ORDER BY ALL
SELECT k FROM a WHERE v = 1 OR v = 2 AND k = 'y' ORDER BY ALL
SELECT * FROM (SELECT 1 UNION ALL SELECT 2) t(x) ORDER BY x DESC
SELECT * FROM a, b, (SELECT 1) c ORDER BY ALL
SELECT * FROM a JOIN b ON a.k = b.k, (SELECT 1) c ORDER BY ALL
SELECT * FROM a, UNNEST([1,2]) u(x) LEFT JOIN b ON b.v = u.x ORDER BY ALL
SELECT * FROM a t LEFT JOIN (SELECT * FROM b WHERE v > 1) u ON t.k = u.k AND u.v > 1 WHERE u.k IS NULL ORDER BY ALL
SELECT t.* FROM a t WHERE EXISTS (SELECT 1 FROM b u WHERE u.k = t.k) ORDER BY ALL
SELECT CASE WHEN 1 = 1 THEN CASE 1 WHEN 1 THEN 'a' END ELSE 'b' END
SELECT v + 1 AS w, w * 2 AS x, sum(w) OVER () FROM a ORDER BY ALL
SELECT a.v IS DISTINCT FROM 1 AND true, NOT a.v IS DISTINCT FROM 1, a.v = 1 IS TRUE FROM a ORDER BY ALL
SELECT v > 1 IS NULL, v + 1 IS NULL, NOT v IS NULL, NOT v = 1 IS NULL FROM a ORDER BY ALL
SELECT 'a' LIKE 'a' = true, 'a' LIKE 'a' AND 'b' LIKE 'b', NOT 'a' LIKE 'b', 1 + 1 BETWEEN 1 AND 3
SELECT TRUE, FALSE, NULL, true::INT, 't'::BOOL
SELECT cast(NULL AS INT) + 1, NULL::VARCHAR || 'x'
SELECT * FROM (VALUES (1), (2)) AS t(x) WHERE x IN (VALUES (1))
SELECT 1 UNION ALL SELECT 2 ORDER BY 1 DESC LIMIT 1
WITH t AS (FROM a) FROM t SELECT count(*)
SELECT * FROM a AS t WHERE t.v > ALL (SELECT 0) ORDER BY ALL
SELECT a.k AS "K1", "a"."v" FROM "a" ORDER BY ALL
SELECT date_part('year', d) y, d::VARCHAR, d - INTERVAL 1 DAY FROM (SELECT DATE '2020-01-01' d)
SELECT '2020-01-01'::DATE::VARCHAR || 'x', ('1' || '2')::INT, -('5'::INT), - '5'::INT FROM (SELECT 1)
SELECT array_agg(x) FROM (SELECT unnest([3,1,2]) AS x ORDER BY x)
SELECT x FROM unnest([1,2,3]) AS t(x) WHERE x > 1
SELECT k, sum(v) FILTER (WHERE v > 1) AS s FROM a GROUP BY k HAVING s > 1 ORDER BY s
SELECT k, list(v) FROM a GROUP BY k ORDER BY k NULLS FIRST
SELECT max(k), arg_max(k, v) FROM a
SELECT sum(v) OVER (PARTITION BY k ORDER BY v ROWS UNBOUNDED PRECEDING) FROM a ORDER BY ALL
SELECT rank() OVER w, dense_rank() OVER w, percent_rank() OVER w FROM a WINDOW w AS (ORDER BY v DESC NULLS LAST) ORDER BY ALL
SELECT rank() OVER (w ORDER BY v) FROM a WINDOW w AS (PARTITION BY k) ORDER BY ALL
SELECT sum(v) OVER (ORDER BY v RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM a ORDER BY ALL
SELECT sum(v) OVER (ORDER BY d RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW) FROM (SELECT v, DATE '2020-01-01' + v::INT AS d FROM a) ORDER BY ALL
SELECT PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY v) FILTER (WHERE v > 0) FROM a
SELECT sum(DISTINCT v ORDER BY v) FROM a
SELECT try_cast('abc' AS DATE), try(CAST('abc' AS DATE)), try_cast('1' AS DECIMAL(4,2))
SELECT * FROM a LIMIT 0
SELECT * FROM a ORDER BY v LIMIT ALL OFFSET 2
SELECT * FROM a ORDER BY v NULLS FIRST, k DESC NULLS LAST
SELECT year(d), d.year(), extract('year' from d) FROM (SELECT DATE '2020-01-01' AS d)
SELECT md5(k || v::VARCHAR) FROM a ORDER BY ALL
SELECT 'ab'[1:1], 'ab'[-1], [1,2,3][-2:], [1,2,3][:-2]
SELECT max(a.v) - min(a.v) AS "max - min", count(*) * 1.0 / 3 FROM a
SELECT "a"."k" FROM "memory"."main"."a" ORDER BY ALL
SELECT main.a.k, memory.main.a.v FROM memory.main.a ORDER BY ALL
SELECT a.v::DOUBLE / 3, round(a.v / 3, 2), a.v // 2 FROM a ORDER BY ALL
SELECT sum(v)::INT, avg(v), sum(v) / count(v), stddev_samp(v) FROM a
SELECT 1e400::VARCHAR IS NULL WHERE false
SELECT 'NaN'::FLOAT, 'inf'::DOUBLE, -'inf'::DOUBLE
SELECT any_value(k), count_if(v > 1), mode(t) FROM a
SELECT d FROM range(DATE '2020-01-01', DATE '2020-01-05', INTERVAL 2 DAY) r(d)
SELECT hugeint '1', uuid '00000000-0000-0000-0000-000000000001', json '{"a":1}', time '10:00', bool 'true', int '5'
SELECT v AS "a.b", {'x y': 1}."x y" FROM a ORDER BY ALL
SELECT COLUMNS(* EXCLUDE (k)) + 1 FROM a ORDER BY ALL
SELECT COLUMNS(* REPLACE (v + 1 AS v)) FROM a ORDER BY ALL
SELECT sum(COLUMNS('v|t')) FROM a
SELECT * FROM a WHERE COLUMNS(['v', 't']) > 1 ORDER BY ALL
SELECT unnest(s) FROM (SELECT {'a': 1, 'b': {'c': 2}} AS s)
SELECT k, v FROM a ORDER BY hash(k), v
SELECT (SELECT 1), (SELECT k FROM a ORDER BY k LIMIT 1) || 'x'
SELECT printf('%5.2f|%s', 3.14159, 'x'), format('{:.2f}', 2.5), '%' , 'a%b'
SELECT 'a -- b', 'a /* b */', "a;b" FROM (SELECT 1 AS "a;b")
SELECT '$1', $$a$$, '?', ':x', '@y'
SELECT DATE '2020-01-01'::VARCHAR, TIMESTAMP '2020-01-01 00:00:00'::DATE, DECIMAL(10,2) '1.5', DATE '2020-01-01'.year(), TIMESTAMP WITH TIME ZONE '2020-01-01 00:00:00+00'::VARCHAR, INT '5' + 1, typeof(JSON '[1]'[1]), VARCHAR 'x' || 'y'
SELECT date, timestamp, text FROM (SELECT 1 AS date, 2 AS "timestamp", 3 AS text)
SELECT t.date + 1, date = 1, date IS NULL, (date), date::INT FROM (SELECT 1 AS date) t
SELECT date FROM (SELECT 1 AS date) ORDER BY date DESC
SELECT ~1 + 1
SELECT 5 IN [1,2] OR true, 1 NOT IN [1,2], NOT 1 IN (1), 1 NOT IN (1) = false
SELECT 'a' COLLATE NOCASE || 'b', ('a' || 'B') COLLATE NOCASE = 'AB', 'é' COLLATE noaccent.nocase = 'E'
SELECT 'abc' NOT SIMILAR TO 'a' AND true, 'abc' !~ 'z', NOT 'abc' ~ 'z'
SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice * (1 - l_discount)) AS disc_price, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS charge, avg(l_discount) AS avg_disc, count(*) AS n FROM lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL '90' DAY GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus
SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate FROM customer, orders, lineitem WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15' GROUP BY l_orderkey, o_orderdate ORDER BY revenue DESC, o_orderdate, l_orderkey LIMIT 10
SELECT o_orderpriority, count(*) AS order_count FROM orders WHERE o_orderdate >= CAST('1993-07-01' AS DATE) AND o_orderdate < CAST('1993-07-01' AS DATE) + INTERVAL '3' MONTH AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate) GROUP BY o_orderpriority ORDER BY o_orderpriority
SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1994-01-01' + INTERVAL 1 YEAR AND l_discount BETWEEN 0.06 - 0.01 AND 0.06 + 0.01 AND l_quantity < 24
SELECT year, sum(volume) FROM (SELECT extract(year FROM o_orderdate) AS year, l_extendedprice * (1 - l_discount) AS volume FROM orders JOIN lineitem ON o_orderkey = l_orderkey WHERE o_orderdate BETWEEN DATE '1993-01-01' AND DATE '1996-12-31') AS shipping GROUP BY year ORDER BY year
SELECT 100.00 * sum(CASE WHEN o_orderpriority LIKE '1%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END) / sum(l_extendedprice * (1 - l_discount)) AS share FROM lineitem, orders WHERE l_orderkey = o_orderkey
WITH revenue AS (SELECT l_suppkey AS supplier, sum(l_extendedprice) AS total FROM lineitem GROUP BY l_suppkey) SELECT supplier, total FROM revenue WHERE total = (SELECT max(total) FROM revenue) ORDER BY supplier
SELECT c_count, count(*) AS custdist FROM (SELECT c_custkey, count(o_orderkey) FROM customer LEFT OUTER JOIN orders ON c_custkey = o_custkey AND o_orderpriority NOT LIKE '%URGENT%' GROUP BY c_custkey) AS c_orders (c_custkey, c_count) GROUP BY c_count ORDER BY custdist DESC, c_count DESC
SELECT cntrycode, count(*) AS numcust, sum(c_acctbal) AS total FROM (SELECT substring(c_phone FROM 1 FOR 2) AS cntrycode, c_acctbal FROM customer WHERE substring(c_phone FROM 1 FOR 2) IN ('13', '31', '23', '10') AND c_acctbal > (SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0.00) AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey AND o_orderkey % 7 = 0)) AS custsale GROUP BY cntrycode ORDER BY cntrycode
SELECT l_orderkey, sum(l_quantity) FROM lineitem WHERE l_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 100) GROUP BY l_orderkey ORDER BY 2 DESC, 1 LIMIT 5
SELECT count(DISTINCT l_suppkey) FROM lineitem WHERE l_suppkey NOT IN (SELECT c_custkey FROM customer WHERE c_mktsegment = 'BUILDING') AND (l_shipmode = 'AIR' OR l_shipmode = 'RAIL' AND l_quantity >= 10)
