-- Say something to other steps of the job: once for each key of a running attempt's step, whoever repeats it.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] key, [8] agent, [9] to: an agent or a step, '' for all,
-- [10] content (JSON), [11] data of the event without its first brace, [12] most messages that are kept,
-- [13] most bytes of them, [14] most posts and reads of a step
-- Reply: {'', its number} | {status that refused it} | {too_many}
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
if not facts[1] then return { 'gone' } end
if facts[2] ~= attempt then return { 'superseded' } end
if not may(ARGV[3], facts[1]) then return { facts[1] } end

local once = 'p ' .. step .. ' ' .. ARGV[7]
local known = redis.call('HGET', job.posts, once)
if known then return { '', known } end
if not may_note(job, step, ARGV[14]) then return { 'too_many' } end
local number = redis.call('HINCRBY', job.posts, '#', 1)
note(job, once, number, step)
redis.call('XADD', job.board, number .. '-0', 'at', ms(now), 'step', step, 'agent', ARGV[8], 'attempt', attempt,
  'to', ARGV[9], 'content', ARGV[10])
keep_alive(job, job.board)
redis.call('HINCRBY', job.posts, 'bytes', #ARGV[10])
shorten(job, ARGV[12], ARGV[13])
emit(job, 'message_posted', step, attempt, '{"number":' .. number .. ',' .. ARGV[11])
tell_waiting(job, step, ARGV[9])
return { '', tostring(number) }
