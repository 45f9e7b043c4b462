package metrics

import (
	"mime"
	"strconv"
	"strings"
)

// maxAccept is the maximum number of media ranges of an Accept field that are read.
const maxAccept = 32

// Negotiate returns the format for the value of an Accept field (RFC 9110, 12.5.1). It
// is OpenMetrics only if the client names application/openmetrics-text with the version
// 1.0.0, 0.0.1 or none, and does not prefer text/plain.
func Negotiate(accept string) Format {
	openMetrics, text := 0.0, 0.0
	for i, part := range strings.SplitN(accept, ",", maxAccept+1) {
		if i == maxAccept {
			break
		}
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		switch kind {
		case "application/openmetrics-text":
			switch params["version"] {
			case "", "1.0.0", "0.0.1":
				openMetrics = max(openMetrics, q)
			}
		case "text/plain":
			text = max(text, q)
		}
	}
	if openMetrics > 0 && openMetrics >= text {
		return OpenMetrics
	}
	return Text
}
