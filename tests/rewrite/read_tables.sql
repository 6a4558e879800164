-- a bare name keeps it as alias
SELECT id, t.a FROM t;
-- becomes
SELECT id, t.a FROM (SELECT * FROM lake.main.t) AS t;

-- an alias stays
SELECT x.id FROM t AS x;
-- becomes
SELECT x.id FROM (SELECT * FROM lake.main.t) AS x;

-- an alias with column names stays
SELECT n, x.k FROM u AS x(n, k);
-- becomes
SELECT n, x.k FROM (SELECT * FROM lake.main.u) AS x(n, k);

-- qualified columns lose what a relation can not have
SELECT main.t.id, lake.main.t.a FROM main.t WHERE main.t.id > 1;
-- becomes
SELECT t.id, t.a FROM (SELECT * FROM lake.main.t) AS t WHERE t.id > 1;

-- joins, using and natural
SELECT * FROM t JOIN u USING (id) LEFT JOIN other.t AS o ON o.id = t.id;
-- becomes
SELECT * FROM (SELECT * FROM lake.main.t) AS t JOIN (SELECT * FROM lake.main.u) AS u USING (id) LEFT JOIN (SELECT * FROM lake.other.t) AS o ON o.id = t.id;

-- several relations and a lateral one
SELECT t.id, q.m FROM t, LATERAL (SELECT max(d) AS m FROM u WHERE u.id = t.id) AS q;
-- becomes
SELECT t.id, q.m FROM (SELECT * FROM lake.main.t) AS t, LATERAL (SELECT max(d) AS m FROM (SELECT * FROM lake.main.u) AS u WHERE u.id = t.id) AS q;

-- a CTE hides the table, a qualified name does not
WITH t AS (SELECT id FROM t WHERE id < 3) SELECT t.id, m.a FROM t JOIN main.t AS m ON m.id = t.id;
-- becomes
WITH t AS (SELECT id FROM (SELECT * FROM lake.main.t) AS t WHERE id < 3) SELECT t.id, m.a FROM t JOIN (SELECT * FROM lake.main.t) AS m ON m.id = t.id;

-- a recursive CTE is not a table
WITH RECURSIVE n AS (SELECT min(id) AS i FROM t UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT max(id) FROM u)) SELECT * FROM n;
-- becomes
WITH RECURSIVE n AS (SELECT min(id) AS i FROM (SELECT * FROM lake.main.t) AS t UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT max(id) FROM (SELECT * FROM lake.main.u) AS u)) SELECT * FROM n;

-- subqueries in every place
SELECT (SELECT count(*) FROM u) AS n, id IN (SELECT id FROM u) AS i, EXISTS (SELECT 1 FROM u WHERE u.id = t.id) AS e FROM t ORDER BY (SELECT max(d) FROM u WHERE u.id = t.id);
-- becomes
SELECT (SELECT count(*) FROM (SELECT * FROM lake.main.u) AS u) AS n, id IN (SELECT id FROM (SELECT * FROM lake.main.u) AS u) AS i, EXISTS (SELECT 1 FROM (SELECT * FROM lake.main.u) AS u WHERE u.id = t.id) AS e FROM (SELECT * FROM lake.main.t) AS t ORDER BY (SELECT max(d) FROM (SELECT * FROM lake.main.u) AS u WHERE u.id = t.id);

-- set operations
SELECT id FROM t EXCEPT SELECT id FROM u UNION ALL SELECT id FROM other.t;
-- becomes
SELECT id FROM (SELECT * FROM lake.main.t) AS t EXCEPT SELECT id FROM (SELECT * FROM lake.main.u) AS u UNION ALL SELECT id FROM (SELECT * FROM lake.other.t) AS t;

-- a table function is not a table
SELECT r.range, t.id FROM range(2) AS r, t WHERE t.id = r.range;
-- becomes
SELECT r.range, t.id FROM range(2) AS r, (SELECT * FROM lake.main.t) AS t WHERE t.id = r.range;

-- the row of a table
SELECT u, u.d FROM u WHERE u IS NOT NULL;
-- becomes
SELECT u, u.d FROM (SELECT * FROM lake.main.u) AS u WHERE u IS NOT NULL;

-- a star with its table
SELECT t.*, u.* EXCLUDE (id) FROM t JOIN u ON t.id = u.id;
-- becomes
SELECT t.*, u.* EXCLUDE (id) FROM (SELECT * FROM lake.main.t) AS t JOIN (SELECT * FROM lake.main.u) AS u ON t.id = u.id;

-- a nested join
SELECT t.id, d FROM (t JOIN u ON t.id = u.id);
-- becomes
SELECT t.id, d FROM ((SELECT * FROM lake.main.t) AS t JOIN (SELECT * FROM lake.main.u) AS u ON t.id = u.id);

-- two tables of one name
SELECT main.t.id, other.t.e FROM main.t JOIN other.t ON main.t.id = other.t.id;
-- becomes
SELECT "main.t".id, "other.t".e FROM (SELECT * FROM lake.main.t) AS "main.t" JOIN (SELECT * FROM lake.other.t) AS "other.t" ON "main.t".id = "other.t".id;
