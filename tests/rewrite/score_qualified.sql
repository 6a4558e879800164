-- the latest row of each group, if its score is high
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE id < 5 QUALIFY row_number() OVER (PARTITION BY c ORDER BY id DESC) = 1 AND PREDICT('pair', a, b) > 4;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM (SELECT * FROM t WHERE id < 5 QUALIFY row_number() OVER (PARTITION BY c ORDER BY id DESC) = 1) AS "t" WHERE PREDICT('pair', a, b) > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s FROM t WHERE id < 5 QUALIFY row_number() OVER (PARTITION BY c ORDER BY id DESC) = 1 AND (a + 10 * b) > 4;
-- scored 3

-- the score and a window by their aliases, and a star
SELECT *, PREDICT('pair', a, b) AS s, row_number() OVER (PARTITION BY c ORDER BY id DESC) AS n FROM t QUALIFY n = 1 AND s > 4;
-- becomes
SELECT * EXCLUDE ("scoter_window_0_0"), PREDICT('pair', a, b) AS s, "scoter_window_0_0" AS n FROM (SELECT *, row_number() OVER (PARTITION BY c ORDER BY id DESC) AS "scoter_window_0_0" FROM t QUALIFY (row_number() OVER (PARTITION BY c ORDER BY id DESC)) = 1) AS "t" WHERE (PREDICT('pair', a, b)) > 4;
-- same as
SELECT *, (a + 10 * b)::FLOAT AS s, row_number() OVER (PARTITION BY c ORDER BY id DESC) AS n FROM t QUALIFY n = 1 AND s > 4;
-- scored 5

-- a column of the alias's name
SELECT id, PREDICT('pair', a, b) AS c FROM t QUALIFY row_number() OVER (ORDER BY id DESC) < 4 AND c > 4;
-- becomes
SELECT id, PREDICT('pair', a, b) AS c FROM t QUALIFY row_number() OVER (ORDER BY id DESC) < 4 AND c > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS c FROM t QUALIFY row_number() OVER (ORDER BY id DESC) < 4 AND c > 4;
-- scored 2

-- without a score beside the windows
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY id) = 1;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY id) = 1;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY id) = 1;
-- scored 3

-- the score in a window
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY PREDICT('pair', a, b)) = 1 AND PREDICT('pair', a, b) > 4;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY PREDICT('pair', a, b)) = 1 AND PREDICT('pair', a, b) > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY a + 10 * b) = 1 AND (a + 10 * b) > 4;
-- scored 10

-- a score or a window
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (ORDER BY id) = 1 OR PREDICT('pair', a, b) > 4;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (ORDER BY id) = 1 OR PREDICT('pair', a, b) > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s FROM t QUALIFY row_number() OVER (ORDER BY id) = 1 OR (a + 10 * b) > 4;
-- scored 8

-- grouped rows
SELECT c, max(PREDICT('pair', a, b)) AS s FROM t GROUP BY c QUALIFY row_number() OVER (ORDER BY c) = 1 AND max(PREDICT('pair', a, b)) > 4;
-- becomes
SELECT c, max(PREDICT('pair', a, b)) AS s FROM t GROUP BY c QUALIFY row_number() OVER (ORDER BY c) = 1 AND max(PREDICT('pair', a, b)) > 4;
-- same as
SELECT c, max(a + 10 * b)::FLOAT AS s FROM t GROUP BY c QUALIFY row_number() OVER (ORDER BY c) = 1 AND max(a + 10 * b) > 4;
-- scored 5
