package smtpserver

import "maps"

// Plus returns the sums of the statistics of two servers.
func (c Counters) Plus(d Counters) Counters {
	c.Sessions += d.Sessions
	c.Current += d.Current
	c.Messages += d.Messages
	c.Discarded += d.Discarded
	c.Refused += d.Refused
	c.Deferred += d.Deferred
	c.Bytes += d.Bytes
	c.Authenticated += d.Authenticated
	c.AuthFailed += d.AuthFailed
	c.TLSFailed += d.TLSFailed
	c.Panics += d.Panics
	c.Replies = sums(c.Replies, d.Replies)
	c.Refusals = sums(c.Refusals, d.Refusals)
	c.TLSVersions = sums(c.TLSVersions, d.TLSVersions)
	c.Logins = sums(c.Logins, d.Logins)
	c.FailedLogins = sums(c.FailedLogins, d.FailedLogins)
	c.Accept = c.Accept.Plus(d.Accept)
	return c
}

// sums returns a new map with the sums of both.
func sums[K comparable](a, b map[K]int64) map[K]int64 {
	sum := maps.Clone(a)
	if sum == nil {
		sum = make(map[K]int64, len(b))
	}
	for k, n := range b {
		sum[k] += n
	}
	return sum
}
