package smtpserver

import (
	"math"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// LimitsInForce returns Limits with the defaults of the fields that are not set, for
// package console in policy/gateway. What a gateway.Gateway has calculated from the
// memory limit is included once it runs.
func (srv *Server) LimitsInForce() []site.Limit {
	all := site.LimitsOf("", srv.Limits.effective(), func(name string, n int64) bool {
		switch name {
		case "DataRate", "Tarpit":
			return n == 0
		case "UnknownRecipients":
			return n == noLimitInt/2
		case "OverloadPercent":
			return n >= 100
		}
		return n == math.MaxInt64 || n == math.MaxInt || n == int64(forever)
	})
	if b := srv.ContentBudget; b != nil {
		n := b.Max
		if n == 0 {
			n = defaultContent
		}
		l := site.Number("ContentBudget.MaxBytes", float64(n), n < 0)
		l.Name = "ContentBudget.Max"
		all = append(all, l)
	}
	return all
}
