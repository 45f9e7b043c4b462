package spool

import "github.com/bridgehead-mail/bridgehead/internal/site"

// LimitsInForce returns the Options that are limits, with their defaults, for package
// console in policy/gateway.
func (s *Spool) LimitsInForce() []site.Limit {
	number := func(name string, n int64) site.Limit { return site.Number(name, float64(n), n < 0) }
	return []site.Limit{
		number("SegmentSize", s.log.segmentSize), number("LargeContent", s.largeContent),
		number("DamagedBytes", s.damagedBytes), number("DamagedFiles", int64(s.damagedFiles)),
	}
}
