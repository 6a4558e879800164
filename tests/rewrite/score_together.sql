-- a label and a probability
SELECT id, PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote', a, b, class => 'yes') AS p FROM t;
-- becomes
SELECT id, struct_extract(PREDICT_TOGETHER('vote', a, b, result => predict, result => 'yes'), 'r0') AS y, struct_extract(PREDICT_TOGETHER('vote', a, b, result => predict, result => 'yes'), 'r1') AS p FROM t;
-- scored 5

-- two probabilities and all of them
SELECT PREDICT_PROBA('vote', a, b, class => 'no') AS n, PREDICT_PROBA('vote', a, b, class => 'yes') AS p, PREDICT_PROBA('vote', a, b) AS q FROM t;
-- becomes
SELECT struct_extract(PREDICT_TOGETHER('vote', a, b, result => 'no', result => 'yes', result => proba), 'r0') AS n, struct_extract(PREDICT_TOGETHER('vote', a, b, result => 'no', result => 'yes', result => proba), 'r1') AS p, struct_extract(PREDICT_TOGETHER('vote', a, b, result => 'no', result => 'yes', result => proba), 'r2') AS q FROM t;
-- scored 5

-- the same call twice is no reason
SELECT PREDICT('vote', a, b) AS y, PREDICT('vote', a, b) = 'yes' AS z FROM t;
-- becomes
SELECT PREDICT('vote', a, b) AS y, PREDICT('vote', a, b) = 'yes' AS z FROM t;
-- scored 5

-- other values
SELECT PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote', b, a, class => 'yes') AS p FROM t;
-- becomes
SELECT PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote', b, a, class => 'yes') AS p FROM t;
-- scored 10

-- a filter stays
SELECT id, PREDICT('vote', a, b) AS y FROM t WHERE PREDICT_PROBA('vote', a, b, class => 'yes') > 0.5;
-- becomes
SELECT id, PREDICT('vote', a, b) AS y FROM t WHERE PREDICT_PROBA('vote', a, b, class => 'yes') > 0.5;
-- scored 8

-- what is not evaluated for every row stays
SELECT COALESCE(CASE WHEN a IS NULL THEN 'x' END, PREDICT('vote', a, b)) AS y, COALESCE(CASE WHEN a IS NULL THEN 0 END, PREDICT_PROBA('vote', a, b, class => 'yes')) AS p FROM t;
-- becomes
SELECT COALESCE(CASE WHEN a IS NULL THEN 'x' END, PREDICT('vote', a, b)) AS y, COALESCE(CASE WHEN a IS NULL THEN 0 END, PREDICT_PROBA('vote', a, b, class => 'yes')) AS p FROM t;
-- scored 8

-- inside expressions and aggregates
SELECT max(PREDICT('vote', a, b)) AS y, avg(1 - PREDICT_PROBA('vote', a, b, class => 'yes')) AS p FROM t;
-- becomes
SELECT max(struct_extract(PREDICT_TOGETHER('vote', a, b, result => predict, result => 'yes'), 'r0')) AS y, avg(1 - struct_extract(PREDICT_TOGETHER('vote', a, b, result => predict, result => 'yes'), 'r1')) AS p FROM t;
-- scored 5

-- grouped rows stay
SELECT PREDICT('vote', a, b) AS y, avg(PREDICT_PROBA('vote', a, b, class => 'yes')) AS p FROM t GROUP BY PREDICT('vote', a, b);
-- becomes
SELECT PREDICT('vote', a, b) AS y, avg(PREDICT_PROBA('vote', a, b, class => 'yes')) AS p FROM t GROUP BY PREDICT('vote', a, b);
-- scored 10

-- another SELECT is another place
SELECT id, PREDICT('vote', a, b) AS y FROM t WHERE id IN (SELECT id FROM t WHERE PREDICT_PROBA('vote', a, b, class => 'yes') > 0.5);
-- becomes
SELECT id, PREDICT('vote', a, b) AS y FROM t WHERE id IN (SELECT id FROM t WHERE PREDICT_PROBA('vote', a, b, class => 'yes') > 0.5);
-- scored 8

-- what differs each time
SELECT PREDICT('vote', random(), 1) IS NULL AS y, PREDICT_PROBA('vote', random(), 1, class => 'yes') IS NULL AS p FROM t;
-- becomes
SELECT PREDICT('vote', random(), 1) IS NULL AS y, PREDICT_PROBA('vote', random(), 1, class => 'yes') IS NULL AS p FROM t;
-- scored 10

-- a call that tries stays
SELECT TRY_PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote', a, b, class => 'yes') AS p FROM t;
-- becomes
SELECT TRY_PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote', a, b, class => 'yes') AS p FROM t;
-- scored 10
