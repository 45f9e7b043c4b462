// Package otel reports the statistics of a relay to OpenTelemetry, and makes spans of
// what its queue does with a message.
//
// [Register] registers the metrics of an Exporter with a Meter. A [Tracer] keeps the
// trace context of the program that submits a message, and makes a span of each attempt
// to deliver it, also after a restart.
//
// It is a module of its own, so that the core does not depend on OpenTelemetry.
package otel
