import { lazy, Suspense } from "react";
import { useRoute } from "wouter";
import { Chat } from "./chat/Chat";
import { useFocusKeeper } from "./useFocusKeeper";

const Assistant = lazy(() => import("./assistant/Assistant"));
const Compare = lazy(() => import("./compare/Compare"));

export function App() {
  useFocusKeeper();
  const [comparing] = useRoute("/compare");
  const [asking] = useRoute("/assistant/*?");
  // Every other address is the chat's, so that its page stays mounted (and the
  // message box keeps its focus) when a new conversation gets an address.
  if (!comparing && !asking) return <Chat />;
  return <Suspense>{comparing ? <Compare /> : <Assistant />}</Suspense>;
}
