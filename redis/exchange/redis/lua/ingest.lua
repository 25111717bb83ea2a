-- Append a frame of commands, or refuse all of it and write nothing.
-- KEYS: j:run j:cmd j:top
-- ARGV: sender's clock (µs), clock tolerance (µs), greatest lag, count, payload
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[1]) ~= run_id then
  return {'CLOSED'}
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if math.abs(now - ARGV[1]) > tonumber(ARGV[2]) then
  return {'CLOCK'}
end
local top = redis.call('HMGET', KEYS[3], 'cmd', 'out')
if top[1] - top[2] >= tonumber(ARGV[3]) then
  return {'BUSY'}
end
local last = string.format('%.0f', top[1] + ARGV[4])
redis.call('XADD', KEYS[2], '0-' .. last, 'n', ARGV[4], 't', string.format('%.0f', now), 'p', ARGV[5])
redis.call('HSET', KEYS[3], 'cmd', last)
return {'OK', last}
