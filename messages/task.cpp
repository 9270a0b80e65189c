#include "messages/task.hpp"

namespace troupe {

std::string process_key::to_string() const {
  return exec.empty() ? container.str() : container.str() + "/exec/" + exec.str();
}

} // namespace troupe
