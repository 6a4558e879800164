-- constant calls that make much out of little
SELECT repeat('ab', 3), length(lpad('a', 20, 'b')), len(range(10)), replace('abc', 'b', 'xyz');
-- becomes
SELECT repeat(CASE WHEN random() > 2 THEN NULL ELSE 'ab' END, 3), length(lpad(CASE WHEN random() > 2 THEN NULL ELSE 'a' END, 20, 'b')), len(range(CASE WHEN random() > 2 THEN NULL ELSE 10 END)), replace(CASE WHEN random() > 2 THEN NULL ELSE 'abc' END, 'b', 'xyz');

-- a call over columns is no constant, a table function is not folded
SELECT repeat(s, 2), i FROM (VALUES ('x')) AS t(s), range(3) AS r(i) ORDER BY i;
-- becomes
SELECT repeat(s, 2), i FROM (VALUES ('x')) AS t(s), range(3) AS r(i) ORDER BY i;
