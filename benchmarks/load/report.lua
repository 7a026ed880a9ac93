-- What wrk has counted, as one line of JSON after its own words.
done = function(summary, latency)
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\n{"requests":%d,"us":%d,"p50":%d,"p99":%d,"lost":%d,"refused":%d}\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), lost, summary.errors.status))
end
