package routing

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A replyPattern matches replies by code or by enhanced code. The other one is
// zero.
type replyPattern struct {
	code     int
	enhanced smtp.EnhancedCode
}

// parseReplyPatterns parses entries such as "550" or "5.7.1". All must begin
// with the digit class.
func parseReplyPatterns(list []string, class byte) ([]replyPattern, error) {
	var ps []replyPattern
	for _, text := range list {
		if text == "" || text[0] != class {
			return nil, fmt.Errorf("%q does not begin with %c", text, class)
		}
		parts := strings.Split(text, ".")
		nums := make([]int, len(parts))
		for i, p := range parts {
			n, err := strconv.ParseUint(p, 10, 10)
			if err != nil || n > 999 {
				return nil, fmt.Errorf("%q is neither a code (550) nor an enhanced code (5.7.1)", text)
			}
			nums[i] = int(n)
		}
		switch {
		case len(nums) == 1 && len(text) == 3:
			ps = append(ps, replyPattern{code: nums[0]})
		case len(nums) == 3 && nums[0] < 10:
			ps = append(ps, replyPattern{enhanced: smtp.EnhancedCode{nums[0], nums[1], nums[2]}})
		default:
			return nil, fmt.Errorf("%q is neither a code (550) nor an enhanced code (5.7.1)", text)
		}
	}
	return ps, nil
}

func fits(ps []replyPattern, r *smtp.SMTPError) bool {
	for _, p := range ps {
		if p.code != 0 && p.code == r.Code || p.code == 0 && p.enhanced == r.EnhancedCode {
			return true
		}
	}
	return false
}

// applyErrorPolicy applies the connector's error policy to a result.
func (c *connector) applyErrorPolicy(r *queue.Result) {
	c.explain(r)
	var dnsErr *DNSError
	var loop *LoopError
	switch {
	case r.Outcome == queue.Failure && c.Errors.DowngradeLoops && errors.As(r.Err, &loop) && loop.Domain != "":
		r.Outcome = queue.Deferred
		r.Reply = reply(451, smtp.EnhancedCode{4, 4, 6}, "The MX records of "+loop.Domain+" name this relay, but no connector serves the domain")
	case r.Outcome == queue.Failure && c.Errors.DowngradeDNS && errors.As(r.Err, &dnsErr),
		r.Outcome == queue.Failure && c.Hold && isRouting(r.Err), // the receiver will request the mail
		r.Outcome == queue.Failure && fits(c.downgrade, &r.Reply):
		r.Outcome = queue.Deferred
		r.Reply = inClass(r.Reply, 4)
	case r.Outcome == queue.Deferred && fits(c.upgrade, &r.Reply):
		r.Outcome = queue.Failure
		r.Reply = inClass(r.Reply, 5)
	}
}

// explain adds the explanation of a refusal to the reply.
func (c *connector) explain(r *queue.Result) {
	if c.Errors.Explain == nil || r.Host == "" || r.Outcome == queue.Success || r.Reply.Code < 400 {
		return
	}
	if text := c.Errors.Explain(&r.Reply); text != "" {
		r.Reply.Message += " [" + text + "]"
	}
}

// inClass returns a reply moved to class 4 or 5. The code becomes 451 or 550,
// because other codes have a different meaning in the other class.
func inClass(r smtp.SMTPError, class int) smtp.SMTPError {
	if r.Code = 451; class == 5 {
		r.Code = 550
	}
	if r.EnhancedCode[0] > 0 {
		r.EnhancedCode[0] = class
	}
	return r
}
