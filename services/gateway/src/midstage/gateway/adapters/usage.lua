-- Reads the units out of an OpenAI-compatible answer while its body streams by, and holds nothing
-- back. Sets dynamic metadata in the namespace "midstage":
--   usage   the JSON text of the answer's top-level member "usage", the last one of a stream
--   events  how many events of a stream carried content so far (set as they pass)
--   first   when the first of them passed, in microseconds since the epoch
--   unread  why the units could not be read
-- The text is read from its beginning and in any pieces, so that strings and braces can be told
-- apart and the member may stand anywhere: vLLM lets whole prompts follow it where a caller asks.
-- What a caller made the model say is inside a string, or deeper than the top.

local WINDOW = 8192
local LONGEST = 4096
local QUOTE, COMMA, COLON = 34, 44, 58
local OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET = 123, 125, 91, 93

-- A function that takes one JSON text, piece by piece. It returns the text of the top-level member
-- "usage" once that is an object and whole, "" where it is longer than LONGEST, else nil.
local function usage_reader()
  local depth, ended, in_string, escaped = 0, false, false, false
  local at_key, key, is_usage = false, nil, false -- of the members at depth 1
  local taken = nil -- the value of "usage" so far, while it passes

  -- The place of the quote that closes the string which goes on at `i`; nil where none is here.
  local function closing(text, i)
    while true do
      local at = text:find('["\\]', i)
      if at == nil or text:byte(at) == QUOTE then
        return at
      elseif at == #text then
        escaped = true
        return nil
      end
      i = at + 2
    end
  end

  local function string_passes(text, i)
    local at = closing(text, i)
    if key ~= nil then
      key = (key .. text:sub(i, (at or #text + 1) - 1)):sub(1, 6)
    end
    in_string = at == nil
    return at or #text
  end

  local function opens(c)
    depth = depth + 1
    at_key = depth == 1
    ended = depth == 1 and c == OPEN_BRACKET
    return depth == 2 and is_usage and c == OPEN_BRACE
  end

  local function closes()
    depth = depth - 1
    ended = depth < 1
    return depth == 1 and taken ~= nil
  end

  return function(text)
    local found, from, i = nil, 1, 1
    if escaped then
      escaped, i = false, 2
    end
    while i <= #text and not ended do
      local at
      if in_string then
        at = string_passes(text, i)
      else
        at = text:find(depth == 1 and '["{}%[%],:]' or '["{}%[%]]', i) or #text + 1
        local c = text:byte(at)
        if c == QUOTE then
          in_string = true
          key = depth == 1 and at_key and "" or nil
        elseif c == OPEN_BRACE or c == OPEN_BRACKET then
          if opens(c) then
            taken, from = "", at
          end
        elseif c == CLOSE_BRACE or c == CLOSE_BRACKET then
          if closes() then
            local value = taken .. text:sub(from, at)
            found, taken = #value <= LONGEST and value or "", nil
          end
        elseif c == COLON then
          at_key, is_usage, key = false, key == "usage", nil
        elseif c == COMMA then
          at_key, is_usage = true, false
        end
      end
      i = at + 1
    end
    if taken ~= nil then
      taken = (taken .. text:sub(from)):sub(1, LONGEST + 1)
    end
    return found
  end
end

local function remember(metadata, usage)
  if usage == "" then
    metadata:set("midstage", "unread", "the usage object is too long")
  else
    metadata:set("midstage", "usage", usage)
  end
end

-- Whether a stream's event carries a piece of the answer: a member with a text that is not empty.
local function has_content(line)
  return line:find('content"%s*:%s*"[^"]') ~= nil
    or line:find('"text"%s*:%s*"[^"]') ~= nil
    or line:find('"reasoning"%s*:%s*"[^"]') ~= nil
    or line:find('"arguments"%s*:%s*"[^"]') ~= nil
    or line:find('"delta"%s*:%s*"[^"]') ~= nil
end

local function bytes_of(chunk)
  return chunk:getBytes(0, chunk:length())
end

-- What a handle gives is dead once the filter has waited for the next chunk: ask for it anew.
local function metadata_of(handle)
  return handle:streamInfo():dynamicMetadata()
end

local function read_plain(handle)
  local read = usage_reader()
  for chunk in handle:bodyChunks() do
    local usage = chunk:length() > 0 and read(bytes_of(chunk)) or nil
    if usage ~= nil then
      remember(metadata_of(handle), usage)
    end
  end
end

-- An event is one line that begins with "data:"; one longer than the window is read in pieces.
local function read_events(handle)
  local rest, kind, counted, long, events, told = "", nil, false, nil, 0, 0

  -- The next piece of a line, and whether it is the last one.
  local function look(text, last)
    local data = text
    if kind == nil then
      kind, data = text:sub(1, 5) == "data:" and "data" or "other", text:sub(6)
    end
    if kind ~= "data" then
      return
    end
    if not counted and has_content(text) then
      counted = true
      events = events + 1
    end
    if long == nil and not last then
      long = usage_reader()
    end
    local usage
    if long ~= nil then
      usage = long(data)
    elseif data:find('"usage"%s*:%s*{') then
      usage = usage_reader()(data)
    end
    if usage ~= nil then
      remember(metadata_of(handle), usage)
    end
  end

  local function ends(line)
    look(line, true)
    kind, counted, long = nil, false, nil
  end

  for chunk in handle:bodyChunks() do
    if chunk:length() > 0 then
      local text, from = rest .. bytes_of(chunk), 1
      local at = text:find("\n", from, true)
      while at do
        ends(text:sub(from, at - 1))
        from = at + 1
        at = text:find("\n", from, true)
      end
      rest = text:sub(from)
      if #rest > WINDOW then
        look(rest, false)
        rest = ""
      end
      if events > told then
        if told == 0 then
          local now = handle:timestampString(EnvoyTimestampResolution.MICROSECOND)
          metadata_of(handle):set("midstage", "first", now)
        end
        told = events
        metadata_of(handle):set("midstage", "events", events)
      end
    end
  end
  ends(rest)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local content = (headers:get("content-type") or ""):lower()
  local streamed = content:find("text/event-stream", 1, true) ~= nil
  if not streamed and not content:find("json", 1, true) then
    return
  end
  local encoding = headers:get("content-encoding")
  if encoding ~= nil and encoding:lower() ~= "identity" then
    metadata_of(handle):set("midstage", "unread", "the answer is compressed")
    return
  end
  if streamed then
    read_events(handle)
  else
    read_plain(handle)
  end
end
