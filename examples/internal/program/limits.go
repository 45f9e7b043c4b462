package program

import (
	"errors"
	"fmt"
	"time"
)

// checkLimits reports numbers and durations that cannot be limits. The parts of the relay
// would report them with the names of their own fields.
func (k *Kit) checkLimits() {
	for setting, n := range map[string]int{"max-recipients": k.MaxRecipients, "max-connections": k.MaxConnections, "max-per-client": k.MaxPerClient, "max-hops": k.MaxHops, "rate": k.Rate} {
		if n < 0 {
			k.Fault(setting, fmt.Errorf("%d is negative", n))
		}
	}
	for setting, d := range map[string]time.Duration{"log-age": k.LogAge, "expire": k.Expire} {
		if d < 0 {
			k.Fault(setting, fmt.Errorf("%v is negative", d))
		}
	}
	if k.Expire > 0 && k.Delay >= k.Expire {
		k.Fault("delay-notice", fmt.Errorf("%v is not less than -expire %v: no notice would be sent", k.Delay, k.Expire))
	}
}

// smallestMessage is the size that every relay must accept (RFC 5321, 4.5.3.1.7).
const smallestMessage = 64 << 10

// checkSize reports a -max-size whose unit is missing.
func (k *Kit) checkSize() {
	if k.MaxSize > 0 && k.MaxSize < smallestMessage {
		k.Fault("max-size", errors.New("is less than 64K, which RFC 5321 requires: is the unit missing, as in 36M?"))
	}
}
