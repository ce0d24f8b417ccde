//! What Redis does in one step: scripts, so that a stream and what is counted of it never differ.

use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection};

/// A script and the name that Redis gives it.
pub(crate) struct Script {
    source: &'static str,
    hash: redis::Script,
}

impl Script {
    pub(crate) fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: redis::Script::new(source),
        }
    }

    /// Runs it. Redis forgets scripts when it starts anew: it says so before it does anything, and
    /// is given the source then.
    pub(crate) async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        arguments: impl Fn(&mut Cmd),
    ) -> RedisResult<Value> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.hash.get_hash());
        arguments(&mut command);
        match command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut command = redis::cmd("EVAL");
                command.arg(self.source);
                arguments(&mut command);
                command.query_async(connection).await
            }
            result => result,
        }
    }
}

/// Adds a request unless that is beyond the bounds.
///
/// Keys: requests, depth. Arguments: the bounds in entries and bytes, the request's entries and
/// bytes, node, token, message. Gives whether it was added, then the depth.
pub(crate) const SUBMIT: &str = r"
local has = redis.call('HMGET', KEYS[2], 'r', 'e', 'b', 'n')
local r, e = tonumber(has[1] or 0), tonumber(has[2] or 0)
local b, n = tonumber(has[3] or 0), tonumber(has[4] or 0)
local entries, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
if e > 0 and (e + entries > tonumber(ARGV[1]) or b + bytes > tonumber(ARGV[2])) then
  return {0, r, e, b, n}
end
local added = redis.pcall('XADD', KEYS[1], '*', 'm', ARGV[7], 'e', ARGV[3], 'b', ARGV[4], 'n', ARGV[5], 't', ARGV[6])
if type(added) == 'table' and added.err then
  -- Without a code of its own it could as well come from later.
  if string.sub(added.err, 1, 4) == 'ERR ' then added.err = 'NOTADDED ' .. string.sub(added.err, 5) end
  return added
end
r, e, b, n = r + 1, e + entries, b + bytes, n + 1
local text = function(number) return string.format('%.0f', number) end
redis.call('HSET', KEYS[2], 'r', text(r), 'e', text(e), 'b', text(b), 'n', text(n))
return {1, r, e, b, n}
";

/// Settles requests that are still this consumer's: acknowledges and deletes them, and writes the
/// answers. What another consumer has taken over is left to it. The acknowledgement comes first:
/// a Redis that is out of memory refuses what begins with an addition.
///
/// Keys: requests, depth, then the streams of answers. Arguments: group, consumer, how many entries
/// a stream of answers keeps, how long in milliseconds; then for each request, in the order of
/// their ids: id, entries, bytes, the number of its stream of answers (0: none), the answer. Gives
/// how many were settled, then the depth.
pub(crate) const SETTLE: &str = r"
local group, consumer, count = ARGV[1], ARGV[2], (#ARGV - 4) / 5
local mine, found = {}, 0
local pending = redis.call('XPENDING', KEYS[1], group, ARGV[5], ARGV[#ARGV - 4], count, consumer)
for i = 1, #pending do mine[pending[i][1]] = true end
local ids, entries, bytes, answers = {}, 0, 0, {}
for i = 5, #ARGV, 5 do
  local id = ARGV[i]
  if not mine[id] and #pending == count then
    mine[id] = #redis.call('XPENDING', KEYS[1], group, id, id, 1, consumer) > 0
  end
  if mine[id] then
    ids[#ids + 1] = id
    entries, bytes = entries + tonumber(ARGV[i + 1]), bytes + tonumber(ARGV[i + 2])
    local to = tonumber(ARGV[i + 3])
    if to > 0 then
      answers[to] = answers[to] or {'\1'}
      table.insert(answers[to], ARGV[i + 4])
    end
  end
end
if #ids > 0 then
  redis.call('XACK', KEYS[1], group, unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
end
local has = redis.call('HMGET', KEYS[2], 'r', 'e', 'b', 'n')
local r, e = tonumber(has[1] or 0), tonumber(has[2] or 0)
local b, n = tonumber(has[3] or 0), tonumber(has[4] or 0)
r, e, b, n = math.max(r - #ids, 0), math.max(e - entries, 0), math.max(b - bytes, 0), n + 1
local text = function(number) return string.format('%.0f', number) end
redis.call('HSET', KEYS[2], 'r', text(r), 'e', text(e), 'b', text(b), 'n', text(n))
for to, parts in pairs(answers) do
  redis.call('XADD', KEYS[2 + to], 'MAXLEN', '~', ARGV[3], '*', 'a', table.concat(parts))
  redis.call('PEXPIRE', KEYS[2 + to], ARGV[4])
end
return {#ids, r, e, b, n}
";

/// Moves a request that cannot be delivered to the dead letters, if it is still this consumer's.
/// Of one that has more fields than any of ours the first ones are kept.
///
/// Keys: requests, depth, dead letters, and a stream of answers where there is one. Arguments:
/// group, consumer, how many entries a stream of answers keeps, how long in milliseconds, id,
/// reason, answer. Gives how many were moved, then the depth.
pub(crate) const BURY: &str = r"
local group, consumer, id = ARGV[1], ARGV[2], ARGV[5]
local has = redis.call('HMGET', KEYS[2], 'r', 'e', 'b', 'n')
local r, e = tonumber(has[1] or 0), tonumber(has[2] or 0)
local b, n = tonumber(has[3] or 0), tonumber(has[4] or 0)
if #redis.call('XPENDING', KEYS[1], group, id, id, 1, consumer) == 0 then
  return {0, r, e, b, n}
end
local found = redis.call('XRANGE', KEYS[1], id, id)[1]
local entries, bytes = 0, 0
if found then
  local fields = found[2]
  local kept = {'reason', ARGV[6], 'id', id}
  for i = 1, math.min(#fields, 64), 2 do
    kept[#kept + 1], kept[#kept + 2] = fields[i], fields[i + 1]
    if fields[i] == 'e' then entries = tonumber(fields[i + 1]) or 0 end
    if fields[i] == 'b' then bytes = tonumber(fields[i + 1]) or 0 end
  end
  redis.call('XADD', KEYS[3], '*', unpack(kept))
  redis.call('XDEL', KEYS[1], id)
end
redis.call('XACK', KEYS[1], group, id)
r, e, b, n = math.max(r - 1, 0), math.max(e - entries, 0), math.max(b - bytes, 0), n + 1
local text = function(number) return string.format('%.0f', number) end
redis.call('HSET', KEYS[2], 'r', text(r), 'e', text(e), 'b', text(b), 'n', text(n))
if KEYS[4] then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], '*', 'a', '\1' .. ARGV[7])
  redis.call('PEXPIRE', KEYS[4], ARGV[4])
end
return {found and 1 or 0, r, e, b, n}
";

/// Gives the depth. Where the stream has another number of requests than was counted, somebody
/// else has written or deleted, and all is counted anew.
///
/// Keys: requests, depth. Gives 1, then the depth.
pub(crate) const DEPTH: &str = r"
local has = redis.call('HMGET', KEYS[2], 'r', 'e', 'b', 'n')
local r, e = tonumber(has[1] or 0), tonumber(has[2] or 0)
local b, n = tonumber(has[3] or 0), tonumber(has[4] or 0)
if redis.call('XLEN', KEYS[1]) ~= r then
  r, e, b, n = 0, 0, 0, n + 1
  local from = '-'
  repeat
    local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 100)
    for i = 1, #page do
      r, from = r + 1, '(' .. page[i][1]
      local fields = page[i][2]
      for j = 1, #fields, 2 do
        if fields[j] == 'e' then e = e + math.max(tonumber(fields[j + 1]) or 0, 0) end
        if fields[j] == 'b' then b = b + math.max(tonumber(fields[j + 1]) or 0, 0) end
      end
    end
  until #page == 0
  local text = function(number) return string.format('%.0f', number) end
  redis.call('HSET', KEYS[2], 'r', text(r), 'e', text(e), 'b', text(b), 'n', text(n))
end
return {1, r, e, b, n}
";

/// Deletes consumers that have nothing pending and were silent for long. A consumer that has
/// something is never deleted: its requests would never be delivered again.
///
/// Keys: requests. Arguments: group, how long in milliseconds, the name that stays.
pub(crate) const FORGET_CONSUMERS: &str = r"
local gone = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local is = {}
  for i = 1, #consumer, 2 do is[consumer[i]] = consumer[i + 1] end
  if is.pending == 0 and is.idle > tonumber(ARGV[2]) and is.name ~= ARGV[3] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is.name)
    gone = gone + 1
  end
end
return gone
";

/// Says up to which id requests may have been delivered before without the stream showing it. A
/// server that starts anew, or a replica that becomes master, may have lost the end of what it was
/// told: that a request was delivered, and not the request. Its run is another one then, and all
/// that the stream has is suspect; what is added later is not.
///
/// Keys: requests, depth. Arguments: the server's run, empty if it does not say. Gives the id.
pub(crate) const SUSPECT: &str = r"
local has = redis.call('HMGET', KEYS[2], 'run', 'suspect')
if has[1] and has[1] == ARGV[1] and ARGV[1] ~= '' then return has[2] end
local last = '0-0'
if (has[1] or ARGV[1] == '') and redis.call('EXISTS', KEYS[1]) == 1 then
  local stream = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #stream, 2 do
    if stream[i] == 'last-generated-id' then last = stream[i + 1] end
  end
end
redis.call('HSET', KEYS[2], 'run', ARGV[1], 'suspect', last)
return last
";
