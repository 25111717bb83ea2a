-- Append a frame of outcomes and tell everyone, if this engine still leads and nothing came between.
-- KEYS: j:out j:top
-- ARGV: run id, epoch, expected top, last number, count, time, payload
if string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') ~= ARGV[1] then
  return {'RUN'}
end
local top = redis.call('HMGET', KEYS[2], 'epoch', 'out')
if top[1] ~= ARGV[2] then
  return {'EPOCH'}
end
if top[2] == ARGV[4] then
  return {'OK'} -- the same bytes had landed before: only their answer was lost
end
if top[2] ~= ARGV[3] then
  return {'TOP'}
end
redis.call('XADD', KEYS[1], '0-' .. ARGV[4], 'n', ARGV[5], 't', ARGV[6], 'p', ARGV[7])
redis.call('HSET', KEYS[2], 'out', ARGV[4])
redis.call('PUBLISH', KEYS[1], ARGV[7])
return {'OK'}
