-- a value
SELECT id, PREDICT('pair', a, b) AS s FROM t;
-- becomes
SELECT id, CASE WHEN ABS(((CAST(CAST(a AS FLOAT) AS DOUBLE) * CAST('1.0' AS DOUBLE) + CAST(CAST(b AS FLOAT) AS DOUBLE) * CAST('10.0' AS DOUBLE)) + CAST('0.0' AS DOUBLE))) < CAST('1e+30' AS DOUBLE) THEN CAST(((CAST(CAST(a AS FLOAT) AS DOUBLE) * CAST('1.0' AS DOUBLE) + CAST(CAST(b AS FLOAT) AS DOUBLE) * CAST('10.0' AS DOUBLE)) + CAST('0.0' AS DOUBLE)) AS FLOAT) ELSE predict_pair(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(b AS FLOAT))) END AS s FROM t;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t;
-- scored 1

-- in a filter
SELECT id FROM t WHERE PREDICT('pair', a, b) > 10;
-- same as
SELECT id FROM t WHERE a + 10 * b > 10;
-- scored 1

-- grouped
SELECT PREDICT('pair', a, b) > 10 AS high, count(*) FROM t GROUP BY PREDICT('pair', a, b) > 10;
-- same as
SELECT a + 10 * b > 10, count(*) FROM t GROUP BY ALL;
-- scored 1

-- the arguments of another model
SELECT id, PREDICT('city', CASE WHEN PREDICT('pair', a, b) > 10 THEN 'Oslo' END) AS s FROM t;
-- same as
SELECT id, CASE WHEN a + 10 * b > 10 THEN 1::FLOAT END FROM t;
-- scored 6

-- evaluated once: not a sum in SQL
SELECT PREDICT('pair', a, b + 0 * random()) AS s FROM t;
-- same as
SELECT (a + 10 * b)::FLOAT FROM t;
-- scored 5
