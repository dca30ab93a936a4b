-- What lists show of jobs. Stands alone.
-- KEYS[1] any key of their partition
-- ARGV[1] prefix of the partition's job keys, [2] how many fields, then these, then the jobs
-- Reply: the values of each job's fields; of one that is gone, none has any
local fields, rows = {}, {}
for at = 3, 2 + tonumber(ARGV[2]) do fields[#fields + 1] = ARGV[at] end
for at = 3 + #fields, #ARGV do rows[#rows + 1] = redis.call('HMGET', ARGV[1] .. ARGV[at], unpack(fields)) end
return rows
